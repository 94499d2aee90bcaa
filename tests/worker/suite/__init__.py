"""The conformance tests in a Worker, on Cloudflare's D1."""
