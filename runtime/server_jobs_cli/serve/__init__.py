"""`server-jobs serve` and `server-jobs token`: the HTTP routes on a server of their own."""
