"""A module that no worker imports: not a module `tasks`, and not named in the settings."""

from django.tasks import task


@task
def unseen():
    return "seen"
