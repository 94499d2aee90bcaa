-- Cancel, retry, repair and delete jobs by hand, and record it in the audit log.
--
-- Each move locks its rows in the order of their ids, under its condition: the state machine allows it, and the row
-- matches the filter. The audit log gets an entry for each changed row.

-- name: CANCEL
-- parameters: audit_id, actor, detail
-- writes: yes, repeatable: no
-- Cancel pending jobs, and ask running ones to stop. The entry says whether the job was asked to stop.
WITH locked AS MATERIALIZED (
  SELECT id FROM jobs WHERE {given} AND (status IN ('pending', 'running') OR {parked})
   AND {matches}
   AND {bounded}
   ORDER BY id FOR UPDATE),
changed AS (
UPDATE jobs
   SET completed_at = CASE status WHEN 'running' THEN completed_at ELSE {now} END,
       cancel_requested = CASE status WHEN 'running' THEN true ELSE cancel_requested END,
       status = CASE status WHEN 'running' THEN status ELSE 'cancelled' END,
       updated_at = {now}
 WHERE id = ANY(ARRAY(SELECT id FROM locked))
RETURNING id, status, job_name),
audited AS (
  INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
  SELECT CAST(:audit_id AS text) || '-' || id, {now}, CAST(:actor AS text), 'cancel', id, job_name,
         CASE status WHEN 'running' THEN COALESCE(CAST(:detail AS text) || '; ', '') || 'asked to stop'
                     ELSE CAST(:detail AS text) END
    FROM changed)
SELECT id, status FROM changed;

-- name: RETRY
-- parameters: audit_id, actor, detail
-- writes: yes, repeatable: no
-- Make failed and cancelled jobs pending again.
WITH locked AS MATERIALIZED (
  SELECT id, unique_key FROM jobs WHERE {given} AND status IN ('failed', 'cancelled') AND {key_is_free}
   AND {matches}
   AND {bounded}
   ORDER BY id FOR UPDATE),
chosen AS MATERIALIZED (
  SELECT id FROM (SELECT id, {first_of_its_key} AS is_first FROM locked) AS numbered WHERE is_first),
changed AS (
UPDATE jobs
   SET {put_back}
 WHERE id = ANY(ARRAY(SELECT id FROM chosen))
RETURNING id, job_name),
audited AS (
  INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
  SELECT CAST(:audit_id AS text) || '-' || id, {now}, CAST(:actor AS text), 'retry', id, job_name,
         CAST(:detail AS text)
    FROM changed)
SELECT id FROM changed;

-- fragment: repairable
-- parameters: id, old_params, old_version
-- The job, if it can be repaired. One compare-and-swap on the values read before: params that were changed, or that a
-- worker has started with, stay.
id = :id AND (status = 'pending' OR {parked}) AND params = :old_params
   AND spec_version = CAST(:old_version AS integer)
   AND {key_is_not_of_another}

-- name: REPAIR
-- parameters: params, spec_version, concurrency_key, rate_key
-- writes: yes, repeatable: no
-- Replace the params of a job, and make it pending again.
UPDATE jobs
   SET {put_back}, params = :params, spec_version = CAST(:spec_version AS integer),
       concurrency_key = :concurrency_key, rate_key = :rate_key
 WHERE {repairable}
RETURNING id;

-- name: AUDIT_REPAIR
-- parameters: audit_id, actor, spec_version
-- writes: yes, repeatable: no
-- Record a repair. The row is locked, so that REPAIR in the same transaction finds it under the same condition.
WITH changed AS MATERIALIZED (SELECT id, job_name, spec_version FROM jobs WHERE {repairable} FOR UPDATE)
INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
SELECT CAST(:audit_id AS text) || '-' || id, {now}, :actor, 'repair', id, job_name,
       'version ' || spec_version || ' to ' || CAST(:spec_version AS integer)
  FROM changed;

-- name: DELETE
-- parameters: audit_id, actor, detail
-- writes: yes, repeatable: no
-- Delete jobs that do not run, and their attempts.
WITH locked AS MATERIALIZED (
  SELECT id FROM jobs WHERE {given} AND status <> 'running'
   AND {matches}
   AND {bounded}
   ORDER BY id FOR UPDATE),
deleted AS (DELETE FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM locked)) RETURNING id, job_name),
{forgotten},
audited AS (
  INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
  SELECT CAST(:audit_id AS text) || '-' || id, {now}, CAST(:actor AS text), 'delete', id, job_name,
         CAST(:detail AS text)
    FROM deleted)
SELECT id FROM deleted;

-- none: AUDIT_CANCEL
-- CANCEL records it.

-- none: AUDIT_RETRY
-- RETRY records it.

-- none: AUDIT_DELETE
-- DELETE records it.

-- none: DELETE_ATTEMPTS
-- DELETE deletes them.

-- name: STATUSES
-- parameters: none
-- writes: no, repeatable: yes
-- Return the status of given jobs.
SELECT id, status FROM jobs WHERE {given} AND {matches};

-- name: AUDIT_PAUSE
-- parameters: audit_id, actor, name
-- writes: yes, repeatable: no
-- Record that an open queue is paused.
INSERT INTO job_audit (id, at, actor, action, target)
SELECT :audit_id, {now}, :actor, 'pause', CAST(:name AS text)
 WHERE NOT EXISTS (SELECT 1 FROM paused_queues WHERE name = CAST(:name AS text));

-- name: AUDIT_RESUME
-- parameters: audit_id, actor, name
-- writes: yes, repeatable: no
-- Record that a paused queue is resumed.
INSERT INTO job_audit (id, at, actor, action, target)
SELECT :audit_id, {now}, :actor, 'resume', CAST(:name AS text)
 WHERE EXISTS (SELECT 1 FROM paused_queues WHERE name = CAST(:name AS text));

-- fragment: retained_since
-- parameters: age
-- The beginning of the retention of the audit log.
{now} - CAST(:age AS bigint) * interval '1 millisecond'

-- name: AUDIT_LOG
-- parameters: actor, target, action, before, limit
-- writes: no, repeatable: yes
-- Return the newest entries that match.
SELECT id, at, actor, action, target, job_name, detail FROM job_audit
 WHERE (CAST(:actor AS text) IS NULL OR actor = :actor) AND (CAST(:target AS text) IS NULL OR target = :target)
   AND (CAST(:action AS text) IS NULL OR action = :action) AND (CAST(:before AS text) IS NULL OR id < :before)
   AND at >= {retained_since}
 ORDER BY id DESC LIMIT :limit;

-- name: FORGET_AUDIT
-- parameters: none
-- writes: yes, repeatable: no
-- Delete entries past their retention.
DELETE FROM job_audit WHERE at < {retained_since} RETURNING id;
