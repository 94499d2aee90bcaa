"""A project of jobs that do what a test wants to see: its specs and its handlers."""
