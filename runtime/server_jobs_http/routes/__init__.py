"""The routes, by what they serve. Each is declared with its description, from which its OpenAPI is made.

============================================  ============
to change                                     open
============================================  ============
the list of routes                            `table`
list, show, cancel, retry and delete jobs     `jobs`
enqueue a job, or many of them in a batch     `enqueuing`, `batches`
change all jobs of a filter                   `bulk`
schedules                                     `schedules`
a tick, status, health, workers, attempts     `operations`
streams of events                             `events`
metrics for Prometheus                        `metrics`
============================================  ============
"""
