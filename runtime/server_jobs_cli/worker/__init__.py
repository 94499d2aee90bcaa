"""`server-jobs worker`: one worker in this process, or several processes under a supervisor.

=========================================  ===============================================
to change                                  open
=========================================  ===============================================
the options of the command                 `worker`
the start: settings, database, first lines `starting`
a worker in this process                   `one_worker`
the stop: signals, the supervisor's line   `shutdown`
several processes, restarts                `supervisor`
restarts after a change of the code        `reloading`, `reloaded`
the log, and the display on a terminal     `worker_log`, `worker_display`
the metrics and the probes                 `metrics_endpoint`, `metrics_server`
=========================================  ===============================================
"""
