"""The batches that have ended."""

from __future__ import annotations

from .common import WAITS_SQL, elements, jobs_by

# Whether no job of the batch of a completion job is unfinished. Not EXISTS, for which PostgreSQL might read all jobs.
HAS_ENDED = """(SELECT one.id FROM {jobs} WHERE one.batch_id = jobs.id AND one.status IN ('pending', 'running')
                    AND one.id <> jobs.id LIMIT 1) IS NULL"""
_ENDED = f"""status = 'pending' AND id = batch_id AND scheduled_for = {WAITS_SQL}
   AND (:batch_ids IS NULL OR id IN ({elements("batch_ids")}))
   AND {HAS_ENDED.format(jobs="jobs AS one INDEXED BY jobs_batch")}"""
ENDED_BATCHES = f"SELECT id FROM {jobs_by('jobs_completion')} WHERE {_ENDED}"
