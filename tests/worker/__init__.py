"""The generated Worker in Cloudflare's own runtime, workerd, with D1 as workerd has it. Run by `make test-worker`."""
