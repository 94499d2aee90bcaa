"""A Worker with one store per tenant: its specs, its handlers and its tests."""
