"""SQLite: one thread per file executes the SQL; the event loop never waits for the disk.

`database` is the adapter, `thread` the thread, `wal_watcher` and `file_watcher` notice commits of other processes.
"""
