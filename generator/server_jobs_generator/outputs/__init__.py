"""Optional documents of all jobs: OpenAPI, AsyncAPI, a catalogue for people, and types for TypeScript."""
