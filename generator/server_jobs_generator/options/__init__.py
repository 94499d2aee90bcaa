"""What `x-job` may state, and each kind of value as JSON, as JSON Schema and as Python.

Records describe their options: `JobOptions` of the runtime those that a job has, and `SpecOptions` the others. A new
option needs only its description there. A new kind of value needs a line in each module.

===================================  ====================================
to change                            open
===================================  ====================================
which options there are              `table`
which values an option accepts       `values`, `durations`
the options that places bring         `places`
the options of a job as JSON         `documents`
`spec.schema.json`, for editors      `schema`
the options of a job as Python       `expressions`
===================================  ====================================

`lint.option_reader` reads the options of a spec.
"""
