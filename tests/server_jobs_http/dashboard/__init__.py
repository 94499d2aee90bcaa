"""The dashboard, in a real browser and over plain HTTP."""
