"""The runtime of a Worker, on a strict fake of the D1 binding."""
