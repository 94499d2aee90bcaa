"""What the nursery runs in processes of their own: each module has a `main` that takes its plan as JSON text."""
