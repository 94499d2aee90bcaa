"""The schedules of `rq cron`."""

from rq import cron
from tasks import clean_up

cron.register(clean_up, queue_name="default", kwargs={"days": 7}, cron="* * * * *")
