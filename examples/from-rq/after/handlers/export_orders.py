import exports
from generated.models.export_orders import ExportOrdersParams, ExportOrdersResult
from server_jobs import JobContext


def handle(params: ExportOrdersParams, context: JobContext) -> ExportOrdersResult:
    try:
        for percent in exports.write_orders(params.customer, params.rows):
            context.update_progress(percent)
    except Exception:
        exports.report_failure(params.customer)
        raise
    return ExportOrdersResult(file=f"{params.customer}.csv")
