"""PostgreSQL through asyncpg: a pool that follows the primary of a cluster.

===================================  =====================================
to change                            open
===================================  =====================================
how statements reach a server        `database`, `pool`, `connection`
which plans and types asyncpg uses   `driver`
which server is the primary          `servers`, `watchdog`, `network`
the options of a URL                 `url`, `url_options`
the PostgreSQL schema of the tables  `search_path`
===================================  =====================================
"""
