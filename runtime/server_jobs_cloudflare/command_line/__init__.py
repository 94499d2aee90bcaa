"""What the command line and other programs need of a Worker with tenants. None of it is uploaded."""
