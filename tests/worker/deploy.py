"""`make deploy`: deploy this project's Worker to Cloudflare, step by step; print the command for a step that fails.

With `--dry-run` nothing changes on Cloudflare, and no account is needed: such steps are printed instead.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from server_jobs.contract.job_keys import needs_secret
from server_jobs.project import Project, find_project
from server_jobs.security.variables import KEY_SECRET_VARIABLE
from server_jobs_cloudflare.command_line.settings import has_tenants
from server_jobs_generator.ir.spec import read_specs
from server_jobs_outputs.cloudflare.configuration import Settings, is_on_turso, jobs_database, read_settings

REPOSITORY = Path(__file__).parents[2]
OLDEST_NODE = 22
TURSO = ("TURSO_DATABASE_URL", "TURSO_AUTH_TOKEN")


class StoppedError(Exception):
    """A step cannot be done here; the message has the command to run."""


class Deployment:
    """One run over a project."""

    def __init__(self, project: Project, *, is_dry: bool, environment: Mapping[str, str] = os.environ) -> None:
        self.project = project
        self.worker = project.root / project.output / "worker"
        self.settings: Settings = read_settings(project)
        self.is_dry = is_dry
        self.environment = dict(environment)
        self.environment.pop(project.url_variable, None)  # the variable is for workers elsewhere

    def run(self, *command: str, folder: Path | None = None) -> None:
        """Run a program to its end, and show its output."""
        print(f"  $ {_shown(command)}", flush=True)
        done = subprocess.run(command, cwd=folder or self.worker, env=self.environment, check=False)
        if done.returncode:
            raise StoppedError(f"that failed with exit status {done.returncode}; mend what it says, and run this again")

    def change(self, *command: str, folder: Path | None = None) -> None:
        """Run a program, except in a dry run."""
        if self.is_dry:
            print(f"  would run: {_shown(command)}", flush=True)
        else:
            self.run(*command, folder=folder)

    def answer(self, *command: str) -> str:
        """Return the output of a program, even if it fails."""
        done = subprocess.run(
            command, cwd=self.worker, env=self.environment, capture_output=True, text=True, check=False
        )
        return done.stdout

    def has(self, program: str) -> bool:
        """Return whether a program of that name exists."""
        return shutil.which(program, path=self.environment.get("PATH")) is not None


def check(deployment: Deployment) -> None:
    command = (sys.executable, "-m", "server_jobs_cli", "check", "--target", "cloudflare")
    deployment.run(*command, folder=deployment.project.root)


def look_for_tools(deployment: Deployment) -> None:
    if not deployment.has("uv"):
        raise StoppedError("uv is missing, which collects the Worker's packages; run: pip install uv")
    version = deployment.answer("node", "--version").strip() if deployment.has("node") else ""
    found = re.match(r"v(\d+)", version)
    if found is None or int(found[1]) < OLDEST_NODE:
        raise StoppedError(f"Node {OLDEST_NODE} or newer is needed, and there is {version or 'none'}; install it anew")


def install(deployment: Deployment) -> None:
    if not (deployment.worker / "node_modules/wrangler").exists():
        deployment.run("npm", "install")
    command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(REPOSITORY / "dist"))
    deployment.run(*command, folder=REPOSITORY)


def log_in(deployment: Deployment) -> None:
    if deployment.is_dry:
        print("  would look whether you are: npx wrangler whoami")
    elif "CLOUDFLARE_API_TOKEN" not in deployment.environment and not _is_logged_in(deployment):
        raise StoppedError(
            f"you are not; run: (cd {deployment.worker} && npx wrangler login)\n"
            "  or, as in CI, set CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID"
        )


def migrate(deployment: Deployment) -> None:
    database = jobs_database(deployment.settings)
    if has_tenants(deployment.project):
        print("  each tenant runs them itself, at its next call")
    elif database is None or is_on_turso(deployment.settings):
        _migrate_turso(deployment)
    elif database.get("database_id") is None and not deployment.is_dry:
        raise StoppedError(
            f"the database has no id yet; run: (cd {deployment.worker} && npx wrangler d1 create jobs)\n"
            '  and write the "database_id" that it prints beside "binding": "DB" in wrangler.jsonc'
        )
    else:
        deployment.change("npx", "wrangler", "d1", "migrations", "apply", "DB", "--remote")


def upload(deployment: Deployment) -> None:
    if deployment.is_dry:
        deployment.run("npx", "wrangler", "deploy", "--dry-run")
        print("  that was without the packages, which are collected and uploaded by: uv run pywrangler deploy")
    else:
        deployment.run("uv", "run", "pywrangler", "deploy")


def look_for_secrets(deployment: Deployment) -> None:
    project = deployment.project
    jobs = read_specs(project.root, project.root / project.specs).jobs
    hashing = [job.class_name for job in jobs if needs_secret(job.options)]
    missing = {"JOBS_TOKEN": "jobs run, and no route answers; if you want them, run:"}
    if hashing:
        missing[KEY_SECRET_VARIABLE] = (
            f"{', '.join(hashing)} cannot be enqueued, as a key covers a redacted value; run:"
        )
    if deployment.is_dry:
        print(f"  would look for {' and '.join(missing)}: npx wrangler secret list")
        return
    stored = deployment.answer("npx", "wrangler", "secret", "list")
    told = [
        f"{name} is missing: {why}\n"
        "  server-jobs token   # and keep what it prints\n"
        f"  (cd {deployment.worker} && npx wrangler secret put {name})"
        for name, why in missing.items()
        if f'"{name}"' not in stored
    ]
    if told:
        raise StoppedError("\n  ".join(told))


STEPS: Sequence[tuple[str, Callable[[Deployment], None]]] = (
    ("can everything work there?", check),
    ("are the tools there?", look_for_tools),
    ("wrangler is installed, and server-jobs built as a package", install),
    ("are you logged in?", log_in),
    ("the tables are brought up to date", migrate),
    ("the Worker is uploaded", upload),
    ("are its secrets there?", look_for_secrets),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all steps, up to the first that cannot be done."""
    parser = argparse.ArgumentParser(prog="make deploy", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="change nothing on Cloudflare")
    parser.add_argument("--project", type=Path, default=Path(), help="the project; this folder by default")
    options = parser.parse_args(arguments)
    deployment = Deployment(find_project(options.project), is_dry=options.dry_run)
    try:
        for number, (title, step) in enumerate(STEPS, 1):
            print(f"{number} of {len(STEPS)}: {title}", flush=True)
            step(deployment)
    except StoppedError as error:
        print(f"  {error}")
        return 1
    print("nothing was deployed, as this was a dry run" if options.dry_run else "the Worker is deployed")
    return 0


def _migrate_turso(deployment: Deployment) -> None:
    if all(deployment.environment.get(name) for name in TURSO):
        deployment.change(sys.executable, "-m", "server_jobs_cli", "migrate", folder=deployment.project.root)
    elif not deployment.is_dry:
        raise StoppedError(f"the Turso database is migrated from here; set {TURSO[0]} and {TURSO[1]} as for the Worker")
    else:
        print(f"  would run, with {TURSO[0]} and {TURSO[1]} set: server-jobs migrate")


def _is_logged_in(deployment: Deployment) -> bool:
    said = deployment.answer("npx", "wrangler", "whoami", "--json")
    return re.search(r'"loggedIn"\s*:\s*true', said) is not None


def _shown(command: Sequence[str]) -> str:
    words = ["python" if word == sys.executable else word for word in command]
    return shlex.join(words)


if __name__ == "__main__":
    sys.exit(main())
