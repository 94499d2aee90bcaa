"""The generator: turns the specs of a project into code, migrations and a Worker. For development time only.

=========================================  ===========================================================================
to change                                  open
=========================================  ===========================================================================
the order of the stages                    `pipeline`, where to start reading
the shortcut for unchanged specs           `build_cache`
the lock and the manifest of earlier runs  `last_run`
which files are generated                  `generated_files`, and `outputs` for plug-ins
rules for specs of plug-ins                `spec_checks`
which files are written or reported        `comparison`, `plan`, `publication`
the SQL of names and column types          `sql`
one stage                                  the folder of its name, such as `read`, `lint`, `ir`, `models`, `contracts`
=========================================  ===========================================================================
"""
