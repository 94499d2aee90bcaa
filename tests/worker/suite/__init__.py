"""The tests that every store passes, run inside a Worker on the D1 that Cloudflare hands to it."""
