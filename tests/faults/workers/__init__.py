"""Workers and applications that are killed, stopped, replaced, or have wrong clocks."""
