"""Files of a project: whose each one is, and how a run replaces them without leaving half of its work.

=====================================  =============================================
to change                              open
=====================================  =============================================
which files the generator may touch    `manifest`, `changes`
how the output folder is replaced      `publication`, `exchange`
what keeps two runs apart              `run_lock`
what is asked of git                   `git`, `git_history`, `conflict_marks`
=====================================  =============================================
"""
