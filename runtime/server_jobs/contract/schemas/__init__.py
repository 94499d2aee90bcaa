"""Validation of JSON values against JSON Schema, for the keywords that model types cannot express.

Plain Python that runs in a Worker too; pydantic's engine matches regular expressions. Start reading at `checker`.
"""
