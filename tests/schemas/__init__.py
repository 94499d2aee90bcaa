"""Public schemas as params of jobs: how many are accepted, and whether each value is decided as JSON Schema decides.

`packages` collects the schemas, `verdicts` tries one, and `python -m tests.schemas` measures all.
"""
