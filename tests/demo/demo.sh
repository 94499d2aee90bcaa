#!/usr/bin/env bash
# `make demo`: the whole way from specs to completed jobs, on real input, in a folder of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=$PWD/${1:-.demo}
rm -rf "$folder"
mkdir -p "$folder"
export SERVER_JOBS_DATABASE_URL=sqlite:///$folder/jobs.sqlite3
export OUTBOX_DIR=$folder/outbox EXAMPLE_DATABASE=$folder/airports.sqlite3

# SendEmail is unique by its body, which its spec redacts: the hash of such a key needs a secret.
JOBS_KEY_SECRET=$(server-jobs token); export JOBS_KEY_SECRET

step() { printf '\n\033[1m== %s\033[0m\n' "$1"; }
try() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }
mail() { printf '{"to": ["%s@example.com"], "subject": "%s", "body": "%s"}' "$1" "$2" "$3"; }

step "specs/ become code"
try server-jobs generate

step "Migrations make the tables of an SQLite file"
try server-jobs migrate

step "Jobs are enqueued; params are checked before anything is stored"
try server-jobs enqueue import_csv --params @tests/demo/airports.json
try server-jobs enqueue SendEmail --params "$(mail ada "The import has begun" "28,298 airports are on their way.")"
try server-jobs enqueue SendEmail --params "$(mail grace "Grüße aus Köln ✈" "Umlauts and signs survive.")" --priority 50
try server-jobs enqueue SendEmail --params "$(mail ada "The import has begun" "28,298 airports are on their way.")"
try server-jobs enqueue daily_digest --params '{"recipients": ["operations@example.com"]}' --delay 4s
try server-jobs enqueue SendEmail --params '{"to": ["nobody"], "subjekt": "Hello"}' || true

step "A worker runs until the queue is empty"
try server-jobs worker --until-empty --live

step "What each job returned"
try server-jobs list

step "What is in the databases"
python - "$folder" <<'PYTHON'
import sqlite3
import sys
from pathlib import Path

folder = Path(sys.argv[1])
with sqlite3.connect(folder / "airports.sqlite3") as airports:
    (count,) = airports.execute("SELECT count(*) FROM airports").fetchone()
    print(f"{count:,} airports; the highest of them:")
    for row in airports.execute("SELECT icao, name, country, elevation FROM airports ORDER BY elevation DESC LIMIT 3"):
        print("  {} {} ({}), {:,.0f} ft".format(*row))
with sqlite3.connect(folder / "jobs.sqlite3") as jobs:
    print("jobs by status:")
    for row in jobs.execute("SELECT job_name, status, count(*) FROM jobs GROUP BY job_name, status"):
        print("  {} {}: {}".format(*row))
mails = sorted((folder / "outbox").glob("*.eml"), key=lambda path: path.stat().st_mtime)
print(f"{len(mails)} messages in the outbox; the last one:\n")
print(mails[-1].read_text(encoding="utf-8"))
PYTHON
