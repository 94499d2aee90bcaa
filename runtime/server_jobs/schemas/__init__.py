"""What JSON Schema says about JSON values, decided exactly: for all that the types of a model cannot hold.

Plain Python, the same in a Worker as anywhere; only regular expressions are matched by the engine that pydantic brings.
"""

from .checker import Checker, SchemaError
from .run import CheckTooLongError, Misfit

__all__ = ["CheckTooLongError", "Checker", "Misfit", "SchemaError"]
