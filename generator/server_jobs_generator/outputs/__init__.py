"""Optional documents of all jobs: OpenAPI, AsyncAPI, a catalogue for people, `llms.txt`, and types for TypeScript."""
