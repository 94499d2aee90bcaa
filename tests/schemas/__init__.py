"""Public schemas as params of jobs: how many are accepted, and whether each value is decided as JSON Schema decides.

`package_lists` has the packages, `packages` collects their schemas, `verdicts` tries one, and `python -m tests.schemas`
measures all, or only the packages that are its arguments.
"""
