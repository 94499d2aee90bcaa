"""Pydantic models.

`model_plan` turns each property into a question: the schema of its type, without limits, texts and nested classes.
`property_types` passes all questions of a run to datamodel-code-generator in one call, each as a field of one class. It
parses the annotations in the answer, refuses anything it does not know, and adds the limits and the checks that no type
expresses.
`type_text` writes the code of a type.
`model_module` prints the models from these types, so no text of datamodel-code-generator becomes code.

========================================  ================
to change                                 open
========================================  ================
which classes a job has, and their names  `model_plan`
the type of a property                    `property_types`
the code of a type                        `type_text`
the text of a module                      `model_module`
========================================  ================
"""
