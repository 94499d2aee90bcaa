"""Modules that all commands share.

=========================================  ===============================================
to change                                  open
=========================================  ===============================================
options and the types of their values      `options`
options from environment variables         `variables`
the project, its registry and database     `workspace`
printed text, tables, JSON, times          `output`
errors and the exit status                 `failures`
log lines                                  `log`
=========================================  ===============================================
"""
