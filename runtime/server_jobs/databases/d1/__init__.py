"""Cloudflare D1, through the binding of a Worker."""
