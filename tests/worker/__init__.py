"""The generated Worker in Cloudflare's runtime, workerd, with its D1. `make test-worker` runs these tests."""
