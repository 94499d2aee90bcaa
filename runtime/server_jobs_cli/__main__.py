"""`python -m server_jobs_cli`, for environments without the command on the path."""

from . import main

main()
