"""Every route with every scope: allowed calls, refused calls, and hidden jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

import pytest
from server_jobs import JobOptions, create_job_registry, define_job
from server_jobs.errors import InvalidOptionError
from server_jobs.memory import InMemoryBackend
from server_jobs.security.tokens import Caller as TokenCaller
from server_jobs.security.tokens import NamedToken, Scope, named_tokens, new_token, rights_of
from server_jobs_http import Tokens, access
from server_jobs_http.openapi import document
from server_jobs_http.routes.table import ROUTES

from tests.server_jobs_http.caller import OTHER_TOKEN, TOKEN, Caller, Kept, Note, keep

MAIL, SLOW = "KeepMail", "KeepSlow"
EVERY_QUEUE, ITS_JOB, SOME_QUEUE, ITS_QUEUE = "every queue", "its job", "some queue", "its queue"

# The scopes of each route, written a second time.
NEEDS: Mapping[tuple[str, str], tuple[Scope, str] | None] = {
    ("POST", "/trigger"): (Scope.ADMIN, EVERY_QUEUE),
    ("GET", "/status"): (Scope.READ, EVERY_QUEUE),
    ("GET", "/health"): None,
    ("GET", "/metrics"): (Scope.READ, EVERY_QUEUE),
    ("GET", "/openapi.json"): None,
    ("GET", "/jobs"): (Scope.READ, SOME_QUEUE),
    ("GET", "/jobs/{id}"): (Scope.READ, ITS_JOB),
    ("POST", "/jobs/{id}"): (Scope.ENQUEUE, SOME_QUEUE),
    ("DELETE", "/jobs/{id}"): (Scope.ADMIN, ITS_JOB),
    ("POST", "/jobs/{id}/cancel"): (Scope.ADMIN, ITS_JOB),
    ("POST", "/jobs/{id}/retry"): (Scope.ADMIN, ITS_JOB),
    ("GET", "/jobs/{id}/events"): (Scope.READ, ITS_JOB),
    ("GET", "/jobs/{id}/attempts"): (Scope.READ, ITS_JOB),
    ("GET", "/jobs/{id}/why"): (Scope.READ, ITS_JOB),
    ("POST", "/batches/{id}"): (Scope.ENQUEUE, SOME_QUEUE),
    ("GET", "/batches/{id}"): (Scope.READ, ITS_JOB),
    ("GET", "/batches/{id}/events"): (Scope.READ, ITS_JOB),
    ("GET", "/workers"): (Scope.READ, EVERY_QUEUE),
    ("GET", "/schedules"): (Scope.READ, SOME_QUEUE),
    ("POST", "/schedules/{job}/{name}"): (Scope.ADMIN, ITS_QUEUE),
    ("DELETE", "/schedules/{job}/{name}"): (Scope.ADMIN, ITS_QUEUE),
    ("POST", "/schedules/{job}/{name}/change"): (Scope.ADMIN, ITS_QUEUE),
    ("POST", "/schedules/{job}/{name}/pause"): (Scope.ADMIN, ITS_QUEUE),
    ("POST", "/schedules/{job}/{name}/resume"): (Scope.ADMIN, ITS_QUEUE),
    ("POST", "/schedules/{job}/{name}/run"): (Scope.ADMIN, ITS_QUEUE),
    ("POST", "/bulk/retry"): (Scope.ADMIN, SOME_QUEUE),
    ("POST", "/bulk/cancel"): (Scope.ADMIN, SOME_QUEUE),
    ("POST", "/bulk/delete"): (Scope.ADMIN, SOME_QUEUE),
}
SCOPES: tuple[tuple[str, ...], ...] = (
    ("read",),
    ("enqueue",),
    ("admin",),
    ("read", "enqueue"),
    ("enqueue", "admin"),
    ("read", "admin"),
    ("read:mail",),
    ("enqueue:mail",),
    ("admin:mail",),
    ("read:mail", "enqueue", "admin:slow"),
)


def backend_of_two_queues() -> InMemoryBackend:
    registry = create_job_registry()
    for name, queue in ((MAIL, "mail"), (SLOW, "slow")):
        options = JobOptions(queue=queue, max_attempts=1)
        registry.register(define_job(name=name, params=Note, result=Kept, handler=keep, options=options))
    return InMemoryBackend(job_registry=registry)


def caller_with(scopes: Iterable[str], backend: InMemoryBackend | None = None) -> Caller:
    named = NamedToken.of("tester", rights_of(scopes), TOKEN)
    return Caller(backend or backend_of_two_queues(), tokens=Tokens(named=[named]))


async def jobs_of(call: Caller) -> dict[str, str]:
    """Return the id of a cancelled job in each queue. It can be retried, but not cancelled."""
    await call.backend.initialize()
    ids = {}
    for name, queue in ((MAIL, "mail"), (SLOW, "slow")):
        (handle,) = await call.backend.registry.find(name).job.later_many([{"text": "x"}])
        await handle.cancel()
        ids[queue] = str(handle)
    return ids


def test_the_matrix_has_every_route() -> None:
    routes = {(method, route.path) for route in ROUTES for method in (route.methods or set()) - {"HEAD"}}

    assert routes == set(NEEDS)


@pytest.mark.parametrize("scopes", SCOPES, ids=" ".join)
@pytest.mark.parametrize(("method", "path"), NEEDS, ids=" ".join)
async def test_every_route_with_every_scope(method: str, path: str, scopes: tuple[str, ...]) -> None:
    call, rights, need = caller_with(scopes), rights_of(scopes), NEEDS[method, path]
    call.backend.registry.bind(call.backend)
    ids = await jobs_of(call)
    for queue, name in (("mail", MAIL), ("slow", SLOW)):
        is_enqueue = (method, path) in (("POST", "/jobs/{id}"), ("POST", "/batches/{id}"))
        record = await call.backend.store.get(ids[queue])
        batch_id = None if record is None else record.batch_id
        stored_id = batch_id if path.startswith("/batches/") else ids[queue]
        place = path.replace("{id}", name if is_enqueue else str(stored_id))
        bulk: dict[str, object] | None = {"job_name": "Keep", "dry_run": True} if path.startswith("/bulk/") else None
        params = [{"text": "x"}] if path.startswith("/batches/") else {"text": "x"}
        body: dict[str, object] | None = {"params": params} if is_enqueue else bulk
        if need is not None and need[1] == ITS_QUEUE:
            await call.backend.registry.find(name).job.schedule("daily").add(cron="0 7 * * *", params={"text": "x"})
            place = path.replace("{job}", name).replace("{name}", "daily")
            body = {"cron": "0 8 * * *", "params": {"text": "x"}} if path.endswith(("{name}", "change")) else None
        reply = await call(method, place, body)

        who = TokenCaller("tester", rights)
        if need is None or (need[1] == SOME_QUEUE and not is_enqueue and need[0] in rights):
            assert reply.status_code == 200
        elif need[0] not in rights:
            assert reply.status_code == 403
            assert reply.headers["www-authenticate"] == f'Bearer error="insufficient_scope", scope="{need[0]}"'
        elif need[1] == EVERY_QUEUE:
            assert reply.status_code == (200 if who.may(need[0]) else 403)
        elif need[1] == ITS_JOB and not who.may(need[0], queue):
            assert reply.status_code == 404
        elif not who.may(need[0], queue):
            assert reply.status_code == 403
        else:
            assert reply.status_code in (200, 201, 202, 409)
    if need is None or need[0] not in rights or method == "GET":
        assert await call.stored() == 2


async def test_a_list_has_the_jobs_of_the_queues_of_the_token_alone() -> None:
    call = caller_with(["read:mail"])
    call.backend.registry.bind(call.backend)
    ids = await jobs_of(call)

    assert [one["id"] for one in (await call("GET", "/jobs")).json()["jobs"]] == [ids["mail"]]
    assert [one["id"] for one in (await call("GET", "/jobs?queue=mail")).json()["jobs"]] == [ids["mail"]]
    assert (await call("GET", "/jobs?queue=slow")).status_code == 403


async def test_a_job_of_another_queue_looks_missing() -> None:
    call = caller_with(["read:mail", "admin:mail"])
    call.backend.registry.bind(call.backend)
    ids = await jobs_of(call)

    for method, end in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry"), ("DELETE", "")):
        other, none = [await call(method, f"/jobs/{one}{end}") for one in (ids["slow"], "gone")]
        assert (other.status_code, other.json()) == (none.status_code, none.json())


async def test_a_token_without_a_name_has_all_rights_even_if_others_have_names() -> None:
    named = NamedToken.of("reader", rights_of(["read"]), OTHER_TOKEN)
    call = Caller(backend_of_two_queues(), tokens=Tokens(TOKEN, named=[named]))

    statuses = [
        (await call("POST", "/trigger", headers={"authorization": f"Bearer {token}"})).status_code
        for token in (TOKEN, OTHER_TOKEN)
    ]
    assert statuses == [200, 403]


def test_the_document_states_the_scope_of_every_operation() -> None:
    paths = document(backend_of_two_queues().registry, server="/")["paths"]
    for (method, path), need in NEEDS.items():
        place = path.replace("{id}", MAIL) if method == "POST" and path in ("/jobs/{id}", "/batches/{id}") else path
        operation = paths[place][method.lower()]
        assert operation["security"][0] == {"token": [] if need is None else [str(need[0])]}
        assert ("403" in operation["responses"]) or need is None


async def test_sabotage_without_the_check_a_reader_could_trigger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "caller_of", lambda request: TokenCaller("all", dict.fromkeys(Scope)))

    assert (await caller_with(["read"])("POST", "/trigger")).status_code == 200


# --- the configuration -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scopes",
    [
        ("read",),
        ("enqueue:mail",),
        ("enqueue:mail,reports", "read"),
        ("admin:a%2Cb,c%20d,%25",),
        ("read", "enqueue", "admin"),
    ],
)
def test_a_line_is_read_as_it_was_written(scopes: tuple[str, ...]) -> None:
    token = new_token()
    made = NamedToken.of("shop", rights_of(scopes), token)

    assert named_tokens(made.line) == (made,)
    assert token not in made.line
    caller = Tokens.from_environment({"JOBS_TOKENS": made.line}).admit(f"Bearer {token}")
    assert caller == TokenCaller("shop", rights_of(scopes))


@pytest.mark.parametrize("separator", ["\n", ";", "\r\n", " ; ", "\n# a comment\n\n"])
def test_several_tokens_stand_on_lines_or_between_semicolons(separator: str) -> None:
    made = [NamedToken.of(f"t{number}", rights_of(["read"]), new_token()) for number in range(3)]

    assert named_tokens(separator.join(one.line for one in made)) == tuple(made)


GOOD = "0" * 64


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (f"shop {TOKEN}", "entry 1: write `NAME SCOPE… sha256:HASH`"),
        (f"shop read {TOKEN}", "entry 1: write"),
        (f"shop read sha256:{GOOD[1:]}", "entry 1: write"),
        (f"shop write sha256:{GOOD}", "there is no scope 'write'"),
        (f"shop read read:mail sha256:{GOOD}", "the scope read is given twice"),
        (f"shop read: sha256:{GOOD}", "empty name of a queue"),
        (f"sh/op read sha256:{GOOD}", "1 to 64 letters"),
        ("\n".join([f"shop read sha256:{GOOD}"] * 3), "3 tokens named 'shop'"),
        ("\n".join(f"t{number} read sha256:{GOOD}" for number in range(101)), "101 tokens"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_without_showing_a_token(line: str, part: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        named_tokens(line)

    assert part in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_token_can_have_any_pair_of_scopes_for_different_queues() -> None:
    for first, second in product(Scope, Scope):
        if first is not second:
            caller = TokenCaller("x", rights_of([f"{first}:a", f"{second}:b"]))
            assert (caller.may(first, "a"), caller.may(first, "b"), caller.may(first)) == (True, False, False)
            assert caller.may(second, "b")
