"""`make bench-generator`: `server-jobs generate` on a thousand specs, beside datamodel-code-generator by itself."""
