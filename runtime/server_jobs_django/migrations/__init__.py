"""The revisions of the project, as migrations of the app `server_jobs`.

Django lists the files in `__path__`, which are Alembic's, and finds a migration for each one in `sys.modules`.
"""

import sys

from ..tables import migration_modules, versions_folder

__path__ = [str(folder) for folder in (versions_folder(),) if folder is not None]

sys.modules.update(migration_modules(__name__))
