"""What JSON Schema says about JSON values, decided exactly: for all that the types of a model cannot hold.

Plain Python, the same in a Worker as anywhere; only regular expressions are matched by the engine that pydantic brings.
`checker` is the way in.
"""
