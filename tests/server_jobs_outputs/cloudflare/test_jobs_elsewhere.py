"""A project with a Cloudflare Worker has no jobs in pods."""

from __future__ import annotations

from pathlib import Path

from tests.generator.projects import job_spec, leave_out_the_worker, make_project


def test_a_job_in_pods_needs_a_project_without_a_worker(tmp_path: Path) -> None:
    specs = {"render": job_spec("Render", runIn="kubernetes"), "send_email": job_spec("SendEmail")}
    project = make_project(tmp_path / "project", specs)
    result = project.run("check")
    assert result.exit_code == 1
    assert (
        'specs/render.json:1:99 /x-job/runIn a Cloudflare Worker has no place "kubernetes", which only workers open; '
        'remove "cloudflare" from `outputs` in [tool.server-jobs], or use another runIn [OPTION_VALUE]'
    ) in result.output
    leave_out_the_worker(project)
    project.generate()
