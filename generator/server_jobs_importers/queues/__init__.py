"""Jobs from the tasks of other queues. No module imports a queue: it reads the objects that the application made."""
