"""`server-jobs serve`."""
