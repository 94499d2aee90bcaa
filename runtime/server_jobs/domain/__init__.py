"""The rules of jobs, without I/O: records, the state machine, retries, schedules, and the interfaces of stores.

=====================================  ======================
to change                              open
=====================================  ======================
the states of a job and their moves    `lifecycle`
the fields of a job or a claim         `record`
what a spec or a caller may set        `options`, `enqueue_options`
when a failed attempt runs again       `retry`
when a schedule is due                 `cron`, `cron_expression`
what a store or a database has to do   `interfaces`
=====================================  ======================
"""
