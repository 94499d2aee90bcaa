"""The backend with what Django's own tests use of `DummyBackend`."""

from asgiref.sync import sync_to_async
from server_jobs_django.tasks import JobsBackend


class ListingBackend(JobsBackend):
    @property
    def results(self):
        from server_jobs_django.models import StoredJob

        return [self.get_result(job.id) for job in StoredJob.objects.order_by("id")]

    async def aresults(self):
        return await sync_to_async(lambda: self.results)()

    def clear(self):
        from server_jobs_django.models import StoredJob

        StoredJob.objects.all().delete()
