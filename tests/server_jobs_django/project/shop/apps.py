import os

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        if url := os.environ.get("SHOP_SABOTAGE"):  # jobs leave the test for a database of their own
            from server_jobs import Backend

            from generated.registry import registry

            registry.bind(Backend(database=url, job_registry=registry))
