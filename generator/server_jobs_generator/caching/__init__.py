"""Results of an earlier run, so that the next one looks only at the specs that changed."""
