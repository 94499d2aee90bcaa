"""What people see of stored jobs: `why` a job waits, and jobs, attempts and workers as JSON values.

For commands, routes and pages. The engine does not need it.
"""
