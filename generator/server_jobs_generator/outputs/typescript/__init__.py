"""One TypeScript module for all jobs: their types, a client for the routes, and rows for the table."""
