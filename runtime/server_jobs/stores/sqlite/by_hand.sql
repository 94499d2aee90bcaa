-- Cancel, retry, repair and delete jobs by hand, and record it in the audit log.
--
-- Each move is for many jobs. A row is changed only if the state machine allows it and the row matches the filter. Each
-- entry of the audit log is written before the move, in the same transaction and under the same condition.

-- fragment: cancellable
-- parameters: none
-- Given jobs that can be cancelled.
{given} AND (status IN ('pending', 'running') OR {parked})
   AND {matches}

-- name: CANCEL
-- parameters: none
-- writes: yes, repeatable: no
-- Cancel pending jobs, and ask running ones to stop.
UPDATE jobs
   SET completed_at = CASE status WHEN 'running' THEN completed_at ELSE {now} END,
       cancel_requested = CASE status WHEN 'running' THEN true ELSE cancel_requested END,
       status = CASE status WHEN 'running' THEN status ELSE 'cancelled' END,
       updated_at = {now}
 WHERE {cancellable}
RETURNING id, status;

-- name: AUDIT_CANCEL
-- parameters: audit_id, actor, detail
-- writes: yes, repeatable: no
-- Record a cancellation. The entry says whether the job was asked to stop.
INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
SELECT :audit_id || '-' || id, {now}, :actor, 'cancel', id, job_name,
       CASE status WHEN 'running' THEN COALESCE(:detail || '; ', '') || 'asked to stop' ELSE :detail END
  FROM jobs WHERE {cancellable};

-- fragment: retryable
-- parameters: none
-- Given jobs that can be retried.
id IN (
 SELECT id FROM (
   SELECT id, {first_of_its_key} AS is_first FROM jobs
    WHERE {given} AND status IN ('failed', 'cancelled')
      AND {key_is_free}
      AND {matches}) WHERE is_first)

-- name: RETRY
-- parameters: none
-- writes: yes, repeatable: no
-- Make failed and cancelled jobs pending again.
UPDATE jobs
   SET {put_back}
 WHERE {retryable}
RETURNING id;

-- name: AUDIT_RETRY
-- parameters: audit_id, actor, detail
-- writes: yes, repeatable: no
-- Record a retry.
INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
SELECT :audit_id || '-' || id, {now}, :actor, 'retry', id, job_name, :detail FROM jobs WHERE {retryable};

-- fragment: repairable
-- parameters: id, old_params, old_version
-- The job, if it can be repaired. One compare-and-swap on the values read before: params that were changed, or that a
-- worker has started with, stay.
id = :id AND (status = 'pending' OR {parked}) AND CAST(params AS TEXT) = :old_params
   AND spec_version = :old_version
   AND {key_is_not_of_another}

-- name: REPAIR
-- parameters: params, spec_version, concurrency_key, rate_key
-- writes: yes, repeatable: no
-- Replace the params of a job, and make it pending again.
UPDATE jobs
   SET {put_back}, params = :params, spec_version = :spec_version,
       concurrency_key = :concurrency_key, rate_key = :rate_key
 WHERE {repairable}
RETURNING id;

-- name: AUDIT_REPAIR
-- parameters: audit_id, actor, spec_version
-- writes: yes, repeatable: no
-- Record a repair.
INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
SELECT :audit_id || '-' || id, {now}, :actor, 'repair', id, job_name,
       'version ' || spec_version || ' to ' || CAST(:spec_version AS INTEGER)
  FROM jobs WHERE {repairable};

-- fragment: deletable
-- parameters: none
-- Given jobs that can be deleted.
{given} AND status <> 'running'
   AND {matches}

-- name: DELETE
-- parameters: none
-- writes: yes, repeatable: no
-- Delete jobs that do not run.
DELETE FROM jobs WHERE {deletable} RETURNING id;

-- name: DELETE_ATTEMPTS
-- parameters: none
-- writes: yes, repeatable: no
-- Delete the attempts of jobs, before DELETE in the same transaction.
DELETE FROM job_attempts WHERE job_id IN (SELECT id FROM jobs WHERE {deletable});

-- name: AUDIT_DELETE
-- parameters: audit_id, actor, detail
-- writes: yes, repeatable: no
-- Record a deletion.
INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
SELECT :audit_id || '-' || id, {now}, :actor, 'delete', id, job_name, :detail FROM jobs WHERE {deletable};

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
SELECT :audit_id, {now}, :actor, 'pause', :name
 WHERE NOT EXISTS (SELECT 1 FROM paused_queues WHERE name = :name);

-- name: AUDIT_RESUME
-- parameters: audit_id, actor, name
-- writes: yes, repeatable: no
-- Record that a paused queue is resumed.
INSERT INTO job_audit (id, at, actor, action, target)
SELECT :audit_id, {now}, :actor, 'resume', :name
 WHERE EXISTS (SELECT 1 FROM paused_queues WHERE name = :name);

-- name: AUDIT_LOG
-- parameters: actor, target, action, before, age, limit
-- writes: no, repeatable: yes
-- Return the newest entries that match.
SELECT id, at, actor, action, target, job_name, detail FROM job_audit
 WHERE (:actor IS NULL OR actor = :actor) AND (:target IS NULL OR target = :target)
   AND (:action IS NULL OR action = :action) AND (:before IS NULL OR id < :before) AND at >= {now} - :age
 ORDER BY id DESC LIMIT :limit;

-- name: FORGET_AUDIT
-- parameters: age
-- writes: yes, repeatable: no
-- Delete entries past their retention.
DELETE FROM job_audit WHERE at < {now} - :age RETURNING id;
