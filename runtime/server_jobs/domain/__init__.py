"""The rules of jobs, without I/O: records, the state machine, retries, schedules, and the interfaces of stores.

===================================  ====================================
to change                            open
===================================  ====================================
the states of a job and their moves  `transitions`, `lifecycle`
the fields of a job or a claim       `record`
which jobs a filter finds            `record`, `search`
an option of a spec                  `options`; `option_kinds` has the kinds of values
options of a call                    `enqueue_options`
when a failed attempt runs again     `options.RetryPolicy` (called in `engine.attempts`)
when a schedule is due               `cron`, `cron_expression`
the methods of stores and databases  `interfaces`
===================================  ====================================
"""
