"""Fault tests: real processes on real databases are killed, stopped and starved. An oracle checks the history."""
