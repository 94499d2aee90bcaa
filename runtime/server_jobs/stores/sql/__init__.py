"""The store for SQL databases: `store` puts it together from its parts."""
