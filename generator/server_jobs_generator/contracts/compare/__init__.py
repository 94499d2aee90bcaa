"""The difference between two schemas, and in which direction each change breaks. `compare_schemas` is the way in."""
