"""Optional outputs: OpenAPI, AsyncAPI, a catalogue, `llms.txt`, TypeScript, manifests, and the Worker project."""
