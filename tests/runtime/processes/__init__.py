"""Programs that tests run as processes: `python -m tests.runtime.processes.NAME`."""
