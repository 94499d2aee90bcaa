"""Commands that show, change or run stored jobs, pause queues, and show schedules and the audit log."""
