"""The files of a project: their owners, the record of them, the cache, and the calls of git.

===================================  ================
to change                            open
===================================  ================
the facts about a generated file     `generated_file`
which files the generator may touch  `manifest`
when a run may skip its work         `cache_folder`
the lock against concurrent runs     `run_lock`
the calls of git                     `git`
===================================  ================
"""
