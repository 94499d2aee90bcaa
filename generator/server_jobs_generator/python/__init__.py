"""Python text: names that are safe, code laid out as a formatter would, templates, and a last look at the result."""
