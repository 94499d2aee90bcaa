"""Files of a project: whose each one is, and how a run replaces them without leaving half of its work.

=====================================  =============================================
to change                              open
=====================================  =============================================
which files the generator may touch    `manifest`, `changes`
how the output folder is replaced      `publication`, `exchange`
the lock against concurrent runs       `run_lock`
the calls of git                       `git`, `git_history`, `conflict_marks`
=====================================  =============================================
"""
