-- Pause and resume queues.

-- name: PAUSE_QUEUE
-- parameters: name
-- writes: yes, repeatable: no
-- Pause a queue, and return its name if it was open.
INSERT INTO paused_queues (name, paused_at) VALUES (:name, {now}) ON CONFLICT DO NOTHING RETURNING name;

-- name: RESUME_QUEUE
-- parameters: name
-- writes: yes, repeatable: no
-- Resume a queue, and return its name if it was paused.
DELETE FROM paused_queues WHERE name = :name RETURNING name;

-- name: PAUSED_QUEUES
-- parameters: none
-- writes: no, repeatable: yes
-- Return the paused queues.
SELECT name, paused_at FROM paused_queues ORDER BY name;
