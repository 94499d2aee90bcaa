"""The store for SQL databases. `store` puts it together from its parts.

===============================  ==================================================
to change                        open
===============================  ==================================================
the parts of a claim             `claims`
the statements that exist        `dialect`; `sql_files` reads them
calls and their parameters       `parameters`
the columns of the table `jobs`  `CONTRIBUTING.md` names the list of the places
what a row becomes               `rows`; `statistics` for counts
a unique key that exists         `conflicts`
a page of a list of jobs         `pages`
===============================  ==================================================
"""
