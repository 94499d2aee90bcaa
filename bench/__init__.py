"""`make bench`: the same work for this project, the bare drivers and other queues, side by side in one run."""
