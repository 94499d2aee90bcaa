"""One TypeScript module for all jobs: types, a client for the HTTP routes, and rows for the table."""
