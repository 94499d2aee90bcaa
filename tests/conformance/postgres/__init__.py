"""PostgreSQL: connections, roles, poolers, plans, and a server in trouble."""
