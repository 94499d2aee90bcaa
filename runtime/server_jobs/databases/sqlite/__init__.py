"""SQLite: one thread per file executes the SQL; the event loop never waits for the disk.

`database` is the adapter, `thread` the thread, `connection` the connection and its file. `watcher` notices commits of
other processes.
"""
