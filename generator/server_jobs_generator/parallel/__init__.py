"""Work of a run in several processes, and the garbage collection of each."""
