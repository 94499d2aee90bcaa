"""How a spec may change once jobs of it exist: what was released, what changed since, and whom that would break."""
