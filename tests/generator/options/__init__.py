"""The options of `x-job`, and their values in each form."""
