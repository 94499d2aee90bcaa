"""The manifests are valid by the official schemas, agree with each other, and follow the settings of the project.

`UPDATE_GOLDEN=1 pytest tests/server_jobs_outputs/kubernetes/test_manifests.py` updates the expected files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import cast

import kubernetes_validate
import pytest
import yaml
from server_jobs.errors import ProjectError
from server_jobs.project import find_project
from server_jobs_kubernetes.cluster import MANAGED, PERMISSIONS
from server_jobs_kubernetes.opening import POD_VARIABLE

from tests.docs.commands import check_server_jobs
from tests.docs.deployment import STOP
from tests.generator.projects import TemporaryProject, job_spec, leave_out_the_worker, make_project
from tests.generator.spec_projects import an_object

from .kustomize import kustomize
from .validation import InvalidManifestError, Object, containers, documents, objects, validate_all

ROOT = Path(__file__).parents[3]
OWN = ROOT / "generated/kubernetes"
GOLDEN = Path(__file__).parent / "golden"
SETTINGS = """
outputs = ["kubernetes"]
database-url-env = "SHOP_DATABASE"
schema = "shop"

[tool.server-jobs.kubernetes]
name = "shop"
image = "registry.example.com:5000/team/shop"

[tool.server-jobs.kubernetes.groups.mail]
queues = ["mail", "it's: {urgent}"]
concurrency = 4
drain-seconds = 600
min-replicas = 1
max-replicas = 3
wait-seconds = 30

[tool.server-jobs.kubernetes.groups.rest]
"""
GROUP, REST = (f"[tool.server-jobs.kubernetes.groups.{name}]\n" for name in ("mail", "rest"))
SPECS = {
    "send_email": job_spec("SendEmail", queue="mail", rate={"limit": 5, "per": "PT0.25S"}),
    "report": job_spec("Report", concurrency={"limit": 2}, version=2),
}


def project_with(folder: Path, settings: str, specs: dict[str, dict[str, object]] | None = None) -> TemporaryProject:
    """Return a project with more settings."""
    project = make_project(folder / "project", SPECS if specs is None else specs)
    leave_out_the_worker(project)
    text = project.read("pyproject.toml").replace("\n\n[tool.alembic]", f"\n{settings}\n[tool.alembic]", 1)
    project.path("pyproject.toml").write_text(text, encoding="utf-8")
    return project


def built_by_kubectl(folder: Path) -> list[Object]:
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


# Both need the same files, and the first one runs everywhere.
BUILDERS = [kustomize, *([built_by_kubectl] if shutil.which("kubectl") else [])]


def overlay(manifests: Path, folder: Path) -> Path:
    """Copy the manifests, and return a folder with an overlay of them."""
    shutil.copytree(manifests, folder / "generated/kubernetes")
    (folder / "deploy").mkdir()
    settings = {
        "namePrefix": "staging-",
        "resources": ["../generated/kubernetes"],
        "components": ["../generated/kubernetes/keda", "../generated/kubernetes/prometheus"],
        "secretGenerator": [{"name": "shop", "literals": ["SHOP_DATABASE=postgresql://db/shop"]}],
        "images": [{"name": "registry.example.com:5000/team/shop", "newTag": "42"}],
    }
    (folder / "deploy/kustomization.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return folder / "deploy"


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = project_with(tmp_path_factory.mktemp("shop"), SETTINGS)
    project.generate()
    return project.path("generated/kubernetes")


def test_the_manifests_of_a_project_are_as_expected(manifests: Path) -> None:
    made = {path.relative_to(manifests).as_posix(): path.read_text() for path in manifests.rglob("*.yaml")}
    if os.environ.get("UPDATE_GOLDEN"):
        shutil.rmtree(GOLDEN, ignore_errors=True)
        shutil.copytree(manifests, GOLDEN)

    assert made == {path.relative_to(GOLDEN).as_posix(): path.read_text() for path in GOLDEN.rglob("*.yaml")}


def test_workers_may_start_the_pods_of_their_jobs_and_nothing_more(tmp_path: Path, manifests: Path) -> None:
    specs = {"render": job_spec("Render", runIn="kubernetes")}
    project = project_with(tmp_path, 'outputs = ["kubernetes"]', specs)
    project.generate()
    validate_all(objects(project.path("generated/kubernetes")))
    made = list(yaml.safe_load_all(project.read("generated/kubernetes/workers.yaml")))
    by_kind = {one["kind"]: one for one in made if one is not None}
    assert by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() == {MANAGED}
    assert "ingress" not in by_kind["NetworkPolicy"]["spec"]
    allowed = [
        (group, resource, verb)
        for rule in by_kind["Role"]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    assert sorted(allowed) == sorted(PERMISSIONS)
    (account,) = by_kind["RoleBinding"]["subjects"]
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account["name"] == by_kind["ServiceAccount"]["metadata"]["name"]
    assert pod["automountServiceAccountToken"] is True
    assert [one["name"] for one in pod["containers"][0]["env"]] == [POD_VARIABLE]
    assert "kind: ServiceAccount" not in (manifests / "workers.yaml").read_text()


def test_only_groups_with_jobs_in_pods_may_start_them(tmp_path: Path) -> None:
    specs = {"render": job_spec("Render", runIn="kubernetes", queue="gpu"), "send": job_spec("Send", queue="mail")}
    groups = "\n".join(
        f'[tool.server-jobs.kubernetes.groups.{name}]\nqueues = ["{queue}"]'
        for name, queue in (("heavy", "gpu"), ("light", "mail"))
    )
    project = project_with(tmp_path, f'outputs = ["kubernetes"]\n{groups}', specs)
    project.generate()
    made = documents(project.path("generated/kubernetes/workers.yaml"))
    pods = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in made if one and one["kind"] == "Deployment"
    }
    accounts = {name: pod.get("serviceAccountName") for name, pod in pods.items()}
    tokens = {name: pod["automountServiceAccountToken"] for name, pod in pods.items()}
    (heavy, light) = sorted(pods)
    assert (accounts[heavy], tokens[heavy]) == (heavy.replace("heavy", "worker"), True)
    assert (accounts[light], tokens[light]) == (None, False)
    assert [name for name, pod in pods.items() if "env" in pod["containers"][0]] == [heavy]


@pytest.mark.parametrize("folder", [OWN, GOLDEN], ids=["own", "golden"])
def test_each_object_is_valid_by_the_schema_of_its_kind(folder: Path) -> None:
    found = objects(folder)
    validate_all(found)

    assert {str(one["kind"]) for one in found} == {
        *("Deployment", "Job", "NetworkPolicy", "PodDisruptionBudget", "ScaledObject", "Service", "ServiceMonitor"),
        "TriggerAuthentication",
    }


@pytest.mark.parametrize(
    ("file", "text", "instead"),
    [
        ("workers.yaml", "maxUnavailable", "maxUnavailble"),
        ("workers.yaml", "containerPort: 9464", "containerPort: metrics"),
        ("workers.yaml", "policyTypes: [Ingress]", "policyTypes: Ingress"),
        ("migrate.yaml", "ttlSecondsAfterFinished: 86400", "ttlSecondsAfterFinished: a day"),
        ("migrate.yaml", "backoffLimit: 3", "backoffLimit: three"),
        ("keda/scaling.yaml", "minReplicaCount", "minReplicas"),
        ("keda/scaling.yaml", 'targetQueryValue: "10"', "targetQueryValue: 10"),
        ("keda/scaling.yaml", "parameter: connection, ", ""),
        ("prometheus/monitoring.yaml", "podTargetLabels: [server-jobs/group]", "podTargetLabels: server-jobs/group"),
        ("prometheus/monitoring.yaml", "    - port: metrics", "    - ports: metrics"),
    ],
)
def test_a_fault_in_a_manifest_is_noticed(file: str, text: str, instead: str) -> None:
    original = (OWN / file).read_text(encoding="utf-8")
    assert text in original

    with pytest.raises(InvalidManifestError):
        validate_all(yaml.safe_load_all(original.replace(text, instead)))


def test_no_object_overrides_the_replicas_that_keda_sets() -> None:
    assert [one for one in objects(OWN) if "replicas" in one["spec"]] == []


@pytest.mark.parametrize("folder", [OWN, GOLDEN], ids=["own", "golden"])
def test_each_command_exists_and_a_worker_ends_before_it_is_killed(folder: Path) -> None:
    found = list(containers(folder))
    for container, pod in found:
        program, *arguments = container["command"]
        options = check_server_jobs(arguments)
        if "drain_timeout" in options:
            grace = timedelta(seconds=pod["terminationGracePeriodSeconds"])
            assert cast("timedelta", options["drain_timeout"]) + STOP < grace
        assert program == "server-jobs"
        assert pod["automountServiceAccountToken"] is False

    assert len(found) == len([one for one in objects(folder) if one["kind"] in ("Deployment", "Job")])


@pytest.mark.parametrize("folder", [OWN, GOLDEN], ids=["own", "golden"])
def test_each_name_and_each_label_leads_to_an_object(folder: Path) -> None:
    found = objects(folder)
    named = {(one["kind"], one["metadata"]["name"]): one for one in found}
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in found if one["kind"] == "Deployment"]
    secrets = {
        container["name"]: [source["secretRef"]["name"] for source in container["envFrom"]]
        for container, _ in containers(folder)
    }
    assert secrets["migrate"] == [f"{secrets['worker'][0]}-migrate"]
    assert len(named) == len(found)
    for (kind, _), one in named.items():
        spec = one["spec"]
        match kind:
            case "ScaledObject":
                assert ("Deployment", spec["scaleTargetRef"]["name"]) in named
                (trigger,) = spec["triggers"]
                assert ("TriggerAuthentication", trigger["authenticationRef"]["name"]) in named
            case "TriggerAuthentication":
                assert [source["name"] for source in spec["secretTargetRef"]] == secrets["worker"]
            case "Deployment" | "PodDisruptionBudget":
                assert pods.count(spec["selector"]["matchLabels"]) == 1
            case "Service":
                assert all(spec["selector"].items() <= labels.items() for labels in pods)
            case "ServiceMonitor":
                (service,) = [each for each in found if each["kind"] == "Service"]
                assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
                assert [each["port"] for each in spec["endpoints"]] == [
                    each["name"] for each in service["spec"]["ports"]
                ]


@pytest.mark.parametrize("folder", [OWN, GOLDEN], ids=["own", "golden"])
def test_nothing_connects_to_a_pod_but_to_the_metrics_of_workers(folder: Path) -> None:
    found = objects(folder)
    policies = [one["spec"] for one in found if one["kind"] == "NetworkPolicy"]
    for one in found:
        if one["kind"] in ("Deployment", "Job"):
            pod = one["spec"]["template"]
            labels = pod["metadata"]["labels"].items()
            (policy,) = [each for each in policies if each["podSelector"]["matchLabels"].items() <= labels]
            open_ports = [port["port"] for rule in policy.get("ingress", []) for port in rule["ports"]]
            ports = pod["spec"]["containers"][0].get("ports", [])
            assert policy["policyTypes"] == ["Ingress"]
            assert open_ports == [port["name"] for port in ports]


@pytest.mark.parametrize("folder", [OWN, GOLDEN], ids=["own", "golden"])
def test_workers_spread_over_nodes_and_zones_and_drain_also_when_they_are_not_ready(folder: Path) -> None:
    for one in objects(folder):
        if one["kind"] == "Deployment":
            spread = one["spec"]["template"]["spec"]["topologySpreadConstraints"]
            assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
            assert {each["whenUnsatisfiable"] for each in spread} == {"ScheduleAnyway"}
            assert all(each["labelSelector"] == one["spec"]["selector"] for each in spread)
        if one["kind"] == "PodDisruptionBudget":
            assert one["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        if one["kind"] == "Job":
            assert one["spec"]["activeDeadlineSeconds"] < one["spec"]["ttlSecondsAfterFinished"]


def test_settings_reach_every_place_that_must_agree(manifests: Path) -> None:
    mail, rest = [one for one in documents(manifests / "workers.yaml") if one["kind"] == "Deployment"]
    login, scaled, scaled_rest = documents(manifests / "keda/scaling.yaml")
    (container, pod), (other, _) = [found for found in containers(manifests) if "worker" in str(found[0]["name"])]

    assert (mail["metadata"], rest["metadata"]) == (scaled["metadata"], scaled_rest["metadata"])
    assert "--queues=mail,it's: {urgent}" in container["command"]
    assert not any("--queues" in word for word in other["command"])
    assert pod["terminationGracePeriodSeconds"] == 605
    assert container["image"] == "registry.example.com:5000/team/shop"
    assert container["envFrom"] == [{"secretRef": {"name": "shop"}}]
    assert login["spec"]["secretTargetRef"] == [{"parameter": "connection", "name": "shop", "key": "SHOP_DATABASE"}]
    spec = scaled["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 3)
    (trigger,) = spec["triggers"]
    assert trigger["metadata"]["targetQueryValue"] == "4"
    query = str(trigger["metadata"]["query"])
    assert "AND queue IN ('mail', 'it''s: {urgent}')" in query
    assert "('SendEmail', 1, NULL, 5, interval '0.25 seconds')" in query
    assert 'FROM "shop".jobs' in query
    assert " FROM jobs" not in query


def test_each_version_that_a_worker_reads_is_counted(tmp_path: Path) -> None:
    project = project_with(tmp_path, 'outputs = ["kubernetes"]', {"report": job_spec("Report")})
    project.generate()
    more = job_spec("Report", version=2)
    cast("dict[str, object]", more["properties"])["params"] = an_object(more={"type": "string"})
    project.write_spec("report", more)
    project.generate()

    query = project.read("generated/kubernetes/keda/scaling.yaml")
    assert "('Report', 1, NULL, NULL, NULL),\n" in query
    assert "('Report', 2, NULL, NULL, NULL),\n" in query


def test_the_name_of_the_project_is_that_of_the_objects(tmp_path: Path) -> None:
    project = project_with(tmp_path, 'outputs = ["kubernetes"]\n[project]\nname = "My_Shop.Jobs"')
    project.generate()

    names = {str(one["metadata"]["name"]) for one in objects(project.path("generated/kubernetes"))}
    assert names == {"my-shop-jobs", "my-shop-jobs-migrate", "my-shop-jobs-worker", "my-shop-jobs-workers"}


NAMED = 'outputs = ["kubernetes"]\n[tool.server-jobs.databases]\n'


@pytest.mark.parametrize("build", BUILDERS)
def test_each_named_database_has_its_own_workers_and_its_own_scaling(
    build: Callable[[Path], list[Object]], tmp_path: Path
) -> None:
    project = project_with(tmp_path, f'{NAMED}eu_1 = "EU_URL"\nus = "US_URL"\n{GROUP}queues = ["mail"]\n{REST}')
    project.generate()
    made = build(overlay(project.path("generated/kubernetes"), tmp_path / "overlay"))
    validate_all(made)
    by_kind = {
        kind: [one for one in made if one["kind"] == kind]
        for kind in ("Deployment", "ScaledObject", "TriggerAuthentication", "PodDisruptionBudget")
    }
    arguments = {
        one["metadata"]["name"].removeprefix("staging-server-jobs-"): one["spec"]["template"]["spec"]["containers"][0][
            "command"
        ][2]
        for one in by_kind["Deployment"]
    }
    assert arguments == {
        f"{group}-{suffix}": f"--database={name}"
        for group in ("mail", "rest")
        for suffix, name in (("eu-1", "eu_1"), ("us", "us"))
    }
    logins = {
        one["metadata"]["name"].removeprefix("staging-server-jobs-"): one["spec"]["secretTargetRef"][0]["key"]
        for one in by_kind["TriggerAuthentication"]
    }
    assert logins == {"eu-1": "EU_URL", "us": "US_URL"}
    for one in by_kind["ScaledObject"]:
        (trigger,) = one["spec"]["triggers"]
        assert one["spec"]["scaleTargetRef"]["name"] == one["metadata"]["name"]
        suffix = trigger["authenticationRef"]["name"].removeprefix("staging-server-jobs-")
        assert one["metadata"]["name"].endswith(f"-{suffix}")
    selectors = [str(one["spec"]["selector"]) for one in (*by_kind["Deployment"], *by_kind["PodDisruptionBudget"])]
    assert sorted(selectors) == sorted([*{*selectors}] * 2), "each budget is for the pods of one deployment"


@pytest.mark.parametrize("names", [("eu_1", "eu-1"), ("e" * 32, "us")])
def test_names_of_databases_that_no_object_can_have_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    databases = "".join(f'{name} = "URL_{number}"\n' for number, name in enumerate(names))
    refused = project_with(tmp_path, f"{NAMED}{databases}").run("generate")
    assert "for manifests, names of databases must have at most 31 characters, and differ by more" in refused.output


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('[tool.server-jobs]\nkubernetes = "yes"', "tool.server-jobs.kubernetes must be a table"),
        ('[tool.server-jobs.kubernetes]\nimages = "x"', "has no key 'images'; did you mean 'image'?"),
        ('[tool.server-jobs.kubernetes]\nname = "Shop"', "name must have 1 to 30 characters of a-z, 0-9 and -"),
        ("[tool.server-jobs.kubernetes]\nname = 1", "name must be a text that is not empty, not 1"),
        (
            '[tool.server-jobs.kubernetes]\nimage = "shop:1"',
            "such as 'registry.example.com/mailer', not 'shop:1'; `images` in kustomization.yaml sets the tag",
        ),
        (
            "[tool.server-jobs.kubernetes.groups]",
            "has no group; add a table [tool.server-jobs.kubernetes.groups.worker]",
        ),
        ("[tool.server-jobs.kubernetes.groups]\nmail = 1", "groups.mail must be a table such as"),
        ("[tool.server-jobs.kubernetes.groups.mail_1]", "the name of a group must have 1 to 30 characters"),
        (f"{GROUP}queue = 1", "groups.mail] has no key 'queue'; did you mean 'queues'?"),
        (f"{GROUP}queues = []", "groups.mail] queues must be a list of queues such as ['mail'], not []"),
        (f'{GROUP}queues = ["a,b"]', "queues has 'a,b', which `server-jobs worker --queues` cannot take"),
        (f'{GROUP}concurrency = "10"', "groups.mail] concurrency must be a whole number, not '10'"),
        (f"{GROUP}concurrency = 0", "groups.mail] concurrency must be between 1 and 1000, not 0"),
        (f"{GROUP}wait-seconds = true", "groups.mail] wait-seconds must be a whole number, not True"),
        (f"{GROUP}min-replicas = 11", "min-replicas must be at most max-replicas, which is 10, not 11"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_its_value(tmp_path: Path, settings: str, message: str) -> None:
    text = settings if "[tool.server-jobs]" in settings else f"[tool.server-jobs]\n{settings}\n"
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")

    with pytest.raises(ProjectError) as failure:
        find_project(tmp_path)
    assert message in str(failure.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            f'{GROUP}queues = ["mail"]',
            "has no group for the queue 'default' of Report; add it to `queues` of a group, or add a group without",
        ),
        (f'[project]\nname = "{"x" * 31}"', "of the project fits no object of Kubernetes; set `name` under"),
    ],
)
def test_generate_says_which_setting_is_missing(tmp_path: Path, settings: str, message: str) -> None:
    project = project_with(tmp_path, f'outputs = ["kubernetes"]\n{settings}')

    done = project.run("generate")
    assert done.exit_code != 0
    assert message in done.output
    assert not project.path("generated").exists()


@pytest.mark.parametrize("build", BUILDERS)
def test_an_overlay_adds_the_components_a_prefix_a_secret_and_a_tag(
    build: Callable[[Path], list[Object]], manifests: Path, tmp_path: Path
) -> None:
    made = build(overlay(manifests, tmp_path))
    validate_all(made)
    found = {(str(one["kind"]), str(one["metadata"]["name"])): one for one in made}
    secret = next(name for kind, name in found if kind == "Secret")
    pod = found["Deployment", "staging-shop-mail"]["spec"]["template"]["spec"]
    scaled = found["ScaledObject", "staging-shop-mail"]["spec"]
    login = found["TriggerAuthentication", "staging-shop"]["spec"]
    assert secret.startswith("staging-shop-")
    assert pod["containers"][0]["image"] == "registry.example.com:5000/team/shop:42"
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": secret}}]
    assert scaled["scaleTargetRef"]["name"] == "staging-shop-mail"
    assert scaled["triggers"][0]["authenticationRef"]["name"] == "staging-shop"
    assert login["secretTargetRef"][0]["name"] == secret


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("kind", ["Deployment", "Secret", "TriggerAuthentication"])
def test_without_its_reference_a_name_stays_as_it_was(
    build: Callable[[Path], list[Object]], kind: str, manifests: Path, tmp_path: Path
) -> None:
    folder = overlay(manifests, tmp_path)
    path = tmp_path / "generated/kubernetes/keda/references.conf"
    references = yaml.safe_load(path.read_text(encoding="utf-8"))["nameReference"]
    kept = [one for one in references if one["kind"] != kind]
    assert len(kept) == len(references) - 1
    path.write_text(yaml.safe_dump({"nameReference": kept}), encoding="utf-8")

    made = {(one["kind"], one["metadata"]["name"]): one["spec"] for one in build(folder) if one["kind"] != "Secret"}
    scaled, login = made["ScaledObject", "staging-shop-mail"], made["TriggerAuthentication", "staging-shop"]
    names = {
        "Deployment": scaled["scaleTargetRef"]["name"],
        "Secret": login["secretTargetRef"][0]["name"],
        "TriggerAuthentication": scaled["triggers"][0]["authenticationRef"]["name"],
    }
    assert [each for each, name in names.items() if not name.startswith("staging-")] == [kind]


def test_a_validator_of_all_yaml_files_finds_no_error(manifests: Path) -> None:
    """What `kubernetes-validate --strict generated/kubernetes/**/*.yaml` does: it skips kinds that it does not know."""
    checked = 0
    for path in manifests.rglob("*.yaml"):
        for document in documents(path):
            with suppress(kubernetes_validate.SchemaNotFoundError):
                kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
                checked += 1
    assert checked == 8
