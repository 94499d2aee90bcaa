"""Settings of the project. The variables let tests choose databases and break things."""

import json
import os
from pathlib import Path

BASE_DIR = Path(__file__).parents[1]
SECRET_KEY = "of the tests"
USE_TZ = os.environ.get("SHOP_USE_TZ") != "0"
TIME_ZONE = "America/Chicago"
ROOT_URLCONF = "shop.urls"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "server_jobs_django",
    "shop.apps.ShopConfig",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
PROCESSORS = ["django.contrib.auth.context_processors.auth", "django.contrib.messages.context_processors.messages"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request", *PROCESSORS]},
    }
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = json.loads(os.environ["SHOP_DATABASES"])
DATABASE_ROUTERS = json.loads(os.environ.get("SHOP_ROUTERS", "[]"))
LOGGING = json.loads(os.environ.get("SHOP_LOGGING", '{"version": 1}'))
