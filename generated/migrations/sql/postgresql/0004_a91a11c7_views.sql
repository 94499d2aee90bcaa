-- server_jobs_0004_a91a11c7 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0004_a91a11c7
-- Follows: server_jobs_0003_6ea7d750
-- Checksum: 8f391d14775734dc

ALTER TABLE jobs DROP CONSTRAINT IF EXISTS jobs_limits_check;

ALTER TABLE jobs ADD CONSTRAINT jobs_limits_check CHECK (
    octet_length(id) <= 100
    AND octet_length(worker_id) <= 100
    AND octet_length(batch_id) <= 100
    AND octet_length(replaced_by) <= 100
    AND octet_length(fencing_token) <= 132
    AND octet_length(unique_key) <= 2404
    AND octet_length(concurrency_key) <= 500
    AND octet_length(rate_key) <= 500
    AND octet_length(params) <= 1048576
    AND octet_length(result) <= 1048576
    AND octet_length(job_name) <= 400
    AND octet_length(queue) <= 400
    AND octet_length(correlation_id) <= 800
    AND octet_length(headers) <= 32768
    AND octet_length(error) <= 262144
    AND octet_length(error_class) <= 16384
    AND octet_length(progress_message) <= 16384
    AND id !~ '[^ 0-9A-Za-z._:,@+-]'
    AND max_attempts BETWEEN 1 AND 10000
    AND priority BETWEEN -100 AND 100
);
