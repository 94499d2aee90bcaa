"""`server-jobs worker`: one worker in this process, or several processes under a supervisor.

=========================================  ===============================================
to change                                  open
=========================================  ===============================================
the options of the command                 `worker`, `worker_options`
a worker in this process                   `one_worker`, `starting`, `shutdown`
several processes                          `supervisor`, `worker_process`, `lifeline`, `restarts`
the log, and the display on a terminal     `worker_log`, `job_tally`, `worker_display`
=========================================  ===============================================
"""
