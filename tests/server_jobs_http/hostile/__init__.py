"""Callers who take what others need: places, time, keys and jobs that no route offers."""
