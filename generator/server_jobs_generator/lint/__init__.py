"""The checks of a spec: its frame, its options under `x-job`, and schemas that rows can be validated against.

===================================  ==================================================
to change                            open
===================================  ==================================================
the frame of a job's spec            `job_lint`
the options under `x-job`            `option_reader`, `place_options`, `params_pointers`
its view and its indexes             `view_columns`
which schemas are accepted           `schema_lint`
keywords without an effect           `idle_keywords`
references, and own values           `meaning_lint`
circles of schemas                   `circles`
===================================  ==================================================
"""
