"""JSON to typed values and back: models, formats, keys, schemas and versions."""
