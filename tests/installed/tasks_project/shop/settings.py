"""Settings of the project. The variables let tests choose a database and break things."""

import json
import os

SECRET_KEY = "of the tests"
USE_TZ = True
INSTALLED_APPS = ["server_jobs_django", "shop.apps.ShopConfig"]
DATABASES = {"default": json.loads(os.environ["SHOP_DATABASE"])}
BACKEND = "server_jobs_django.tasks.JobsBackend"
OPTIONS = json.loads(os.environ.get("SHOP_TASKS", "{}"))
TASKS = {
    "default": {
        "BACKEND": BACKEND,
        "QUEUES": ["default", "slow"],
        "OPTIONS": json.loads(os.environ.get("SHOP_TASKS", "{}")),
    },
    "retried": {"BACKEND": BACKEND, "OPTIONS": {"max_attempts": 2}},
    "eager": {"BACKEND": BACKEND, "OPTIONS": {"eager": True}},
}
