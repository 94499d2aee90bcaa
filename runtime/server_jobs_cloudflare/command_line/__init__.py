"""The parts of the command line for a Worker with tenants. None of them is uploaded."""
