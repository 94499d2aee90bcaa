"""A project of jobs for these tests: its specs and its handlers."""
