import shop
from generated.models.resize_image import ResizeImageParams, ResizeImageResult
from server_jobs import JobContext


def handle(params: ResizeImageParams, context: JobContext) -> ResizeImageResult:
    return ResizeImageResult(bytes=shop.resize(params.image))
