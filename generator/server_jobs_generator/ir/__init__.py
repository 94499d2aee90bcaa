"""`JobSpec`, the plain form of a spec that every later stage works from.

==========================================  =======================================
to change                                   open
==========================================  =======================================
the fields of `JobSpec`                     `spec`, which reads and lints all files
schemas without other files                 `bundle`
the split into types and further checks     `typed_schema`, `typed_form`
unions whose branches exclude each other    `branches`
the options of a job as JSON                `job_facts`
==========================================  =======================================
"""
