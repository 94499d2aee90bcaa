import shop
from generated.models.send_code import SendCodeParams
from server_jobs import JobContext


def handle(params: SendCodeParams, context: JobContext) -> None:
    shop.mail_code(params.to, params.code)
