"""The engine: claims jobs, runs their handlers, stores the outcomes, and fires schedules.

=========================================  ==========================
to change                                  open
=========================================  ==========================
enqueueing, and how a store is opened      `backend`
how a worker loops and stops, its health   `worker`
how many jobs it claims, and runs at once  `prefetch`, `slots`
how jobs are claimed, run and released     `execution`
what happens to one claimed job            `attempts`
expiry, schedules, pruning                 `chores`, `scheduler`, `pruner`, `maintenance`
one round of work for a cron trigger       `tick`
jobs that run without a worker             `direct_runs`
claims that a caller polls and executes    `worker_backend`
changes of all jobs of a filter            `bulk`
handlers in their own processes            `handler_process`, and `server_jobs.isolation`
=========================================  ==========================
"""
