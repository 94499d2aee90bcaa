"""A Django project with jobs, on each database."""
