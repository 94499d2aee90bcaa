"""`make bench-generator`: `server-jobs generate` on a thousand specs, compared to datamodel-code-generator alone."""
