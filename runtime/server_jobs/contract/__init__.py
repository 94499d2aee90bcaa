"""Contracts: JSON documents against their spec, on every way into a row and out of it.

=============================================  =============================
to change                                      open
=============================================  =============================
how params and results are validated           `documents`
the base classes of generated models           `model`, `root_union`, `checked`
the limits of a JSON text in a row             `values`, `json_scan`
the types of JSON Schema formats               `formats`, `canonical_text`
how rows of earlier versions are read          `upcasts`
unique keys and the keys of limits             `job_keys`
JSON Schema keywords that types cannot hold    `schemas`
=============================================  =============================
"""
