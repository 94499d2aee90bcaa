"""Read the files under `specs/`: strict JSON with the place of every value, the JSON Schema keywords, references.

`spec_files` finds the files, `document` reads one, `library` follows `$ref`, `draft7` translates the older dialect.
"""
