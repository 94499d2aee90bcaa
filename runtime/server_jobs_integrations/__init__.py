"""Web frameworks, and middleware for tracing, error tracking and logging. Each module needs the library in its name."""
