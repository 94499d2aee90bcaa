"""Which jobs a claim finds, and what it costs, on the stores of this package."""
