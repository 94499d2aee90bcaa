"""The rules of jobs, without I/O: records, the state machine, retries, schedules, and the interfaces of stores.

===================================  ====================================
to change                            open
===================================  ====================================
the states of a job and their moves  `transitions`, `lifecycle`
the fields of a job or a claim       `record`
which jobs a filter finds            `record`, `search`
options of a spec or of a call       `options`, `enqueue_options`
when a failed attempt runs again     `retry` (called in `engine.attempts`)
when a schedule is due               `cron`, `cron_expression`
the methods of stores and databases  `interfaces`
===================================  ====================================
"""
