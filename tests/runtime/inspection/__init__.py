"""Tests of what people see of stored jobs."""
