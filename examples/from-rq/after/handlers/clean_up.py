import exports
from generated.models.clean_up import CleanUpParams
from server_jobs import JobContext


def handle(params: CleanUpParams, context: JobContext) -> None:
    exports.delete_files(params.days)
