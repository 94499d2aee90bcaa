"""The checks before a release, for `make release-check`."""
