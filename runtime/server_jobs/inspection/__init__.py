"""What people see of stored jobs: `why` a job waits, and jobs, attempts and workers as JSON values.

For the command line, the routes and the dashboard. The engine does not need it.
"""
