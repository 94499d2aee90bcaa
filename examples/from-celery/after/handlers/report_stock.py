import shop
from generated.models.report_stock import ReportStockParams
from server_jobs import JobContext


def handle(params: ReportStockParams, context: JobContext) -> None:
    shop.count_stock(params.warehouse)
