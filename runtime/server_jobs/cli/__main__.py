"""`python -m server_jobs.cli`, where the command itself is not on the path."""

from . import main

main()
