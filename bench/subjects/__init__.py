"""The measured queues, one module each. `subject(variant, url)` returns one."""
