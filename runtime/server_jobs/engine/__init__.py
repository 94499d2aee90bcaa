"""The engine: claims jobs, runs their handlers, stores the outcomes, and fires schedules.

=========================================  ==========================
to change                                  open
=========================================  ==========================
how a worker loops and stops               `worker`
how many jobs it claims, and runs at once  `prefetch`, `slots`
what happens to one claimed job            `attempts`
schedules, expiry and pruning              `maintenance`, `scheduler`, `pruner`
one round of work for a cron trigger       `tick`
jobs that run without a worker             `attempts.direct_run`
changes of all jobs of a filter            `bulk`
handlers in their own processes            `handler_process`, and `server_jobs.isolation`
=========================================  ==========================
"""
