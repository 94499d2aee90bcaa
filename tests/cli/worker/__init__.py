"""`server-jobs worker`: processes, signals and logs."""
