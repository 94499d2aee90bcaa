"""SQLite: files, locks, several processes, and the watch of commits."""
