"""The backends of a project with several databases, by name.

A name is stated by the project, and its URL by an environment variable. The value at `shardBy` chooses the database of
a job. Engine and stores know one database each, and nothing of the others.

`databases` has the backends, `execution` runs the jobs of one of them, `names` compares the name that a database holds,
and `handler_program` is the program of handler processes.
"""

from .databases import Databases, NamedBackend
from .names import check_held_name

__all__ = ["Databases", "NamedBackend", "check_held_name"]
