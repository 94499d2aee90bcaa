"""AsyncAPI, TypeScript, the catalogue and the other optional outputs."""
