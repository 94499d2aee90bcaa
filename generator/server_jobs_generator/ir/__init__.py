"""The plain form of a spec that every later stage works from.

`spec` reads and lints all files and returns one `JobSpec` for each job; `bundle` makes its schemas independent of other
files; `typed_schema` splits a schema into types and the checks that types cannot hold.
"""
