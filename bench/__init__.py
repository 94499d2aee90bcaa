"""`make bench`: this project, the bare driver and other queues at the same work, side by side in one run."""
