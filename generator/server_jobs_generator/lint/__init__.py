"""The rules for a spec: a frame, options, and schemas that a row can be validated against.

=====================================  =======================================
to change                              open
=====================================  =======================================
the frame of a job's spec              `job_lint`
the options under `x-job`              `options_lint`, `option_values`
which schemas are accepted             `schema_lint`, `meaning_lint`
values that no schema allows           `contradictions`, `finite_values`
=====================================  =======================================
"""
