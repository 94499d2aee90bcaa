"""The programs that the nursery runs as processes: each module has a `main` that takes its plan as JSON text."""
