"""`server-jobs generate`, `check`, `init` and `explain`, and the formats in which they report."""
