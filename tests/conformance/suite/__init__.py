"""The tests that every store passes, also one of an application: the package ships this folder."""
