"""Read the files under `specs/`: JSON and YAML with the place of every value, the JSON Schema keywords, references.

======================================  ==========================
to change                               open
======================================  ==========================
places of values, and mistakes in JSON  `document`, `json_scalars`
YAML                                    `yaml_reader`
specs without a frame, several in one   `spec_forms`
the keywords that a spec may use        `keywords`
older drafts, and OpenAPI               `dialects`
references by name                      `normalize`
errors and warnings of a file           `file_report`
which files are read                    `library`
the targets of `$ref`                   `library`
======================================  ==========================
"""
