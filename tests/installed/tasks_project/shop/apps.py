import os

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        from . import tasks as tasks  # a project that never imports `django.tasks` has no checks of it

        if url := os.environ.get("SHOP_SABOTAGE"):  # tasks leave the test for a database of their own
            from server_jobs import Backend

            from generated.registry import registry

            registry.bind(Backend(database=url, job_registry=registry))
