"""Pydantic models.

`model_plan` plans the classes, `code_generator` asks for their types, `model_module` writes them.
"""
