"""Specs from job definitions that exist: models, functions, schema documents and tasks of other queues.

=========================================  ===========================================================================
to change                                  open
=========================================  ===========================================================================
which importers there are                  `kinds`, and `importer` for the plug-ins of others
what an importer returns                   `found_job`
the spec of a job, and its comparison      `imported`, `comparison`, `probes`
the process that imports modules           `apart`
one importer                               the module of its name, or `queues`
=========================================  ===========================================================================
"""
