"""Databases: execute SQL, one folder for each driver. They know no jobs.

`opening` chooses the adapter for a URL; `url` reads URLs.
"""
