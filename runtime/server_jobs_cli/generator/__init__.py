"""`server-jobs init`, `generate`, `check` and `explain`.

=========================================  ===============================================
to change                                  open
=========================================  ===============================================
generate and check                         `generate`, and `watch` for --watch
check --database                           `queue_check`
init                                       `new_project`
explain                                    `explain`
the option --format                        `output_forms`
output: text and JSON                      `report`
output: GitHub and SARIF                   `annotations`
=========================================  ===============================================
"""
