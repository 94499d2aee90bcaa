"""SQLite of a Cloudflare Durable Object."""
