"""The batches that have ended."""

from __future__ import annotations

from ..statements.maintenance import HAS_ENDED
from .common import WAITS_SQL


def ended(batch_ids: str = "CAST(:batch_ids AS json)") -> str:
    return f"""SELECT jobs.id FROM jobs
   WHERE status = 'pending' AND id = batch_id AND scheduled_for = {WAITS_SQL}
     AND ({batch_ids} IS NULL OR id = ANY(ARRAY(SELECT json_array_elements_text({batch_ids}))))
     AND {HAS_ENDED.format(jobs="jobs AS one")}"""
