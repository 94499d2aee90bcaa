"""The queues that are measured, one module each; `subject(variant, url)` makes one."""
