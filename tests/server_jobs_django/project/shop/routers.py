class JobsRouter:
    """Keeps the jobs in a database of their own."""

    def db_for_read(self, model, **hints):
        return "jobs" if model._meta.app_label == "server_jobs" else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        return (db == "jobs") == (app_label == "server_jobs")
