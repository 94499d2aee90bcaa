"""Keys over redacted values are keyed hashes, so a reader of the database cannot guess the values."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest
from server_jobs import ConcurrencyLimit, InvalidOptionError, JobOptions
from server_jobs.contract.job_keys import JobKeys, job_keys
from server_jobs.contract.values import canonical
from server_jobs.security.key_secret import key_secret

from tests.runtime.example_jobs import echo, text_job

SECRET = "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk"
PARAMS = '{"card":{"number":"4111"},"to":"ada@example.com","text":"x"}'


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start without a secret."""
    monkeypatch.delenv("JOBS_KEY_SECRET", raising=False)
    yield
    key_secret.give(None)


def options(*by: str, redact: tuple[str, ...] = ("/card",)) -> JobOptions:
    """Return options with a unique key and limits on these pointers."""
    return JobOptions(unique_by=by, concurrency=ConcurrencyLimit(limit=1, by=by), redact=redact)


@pytest.mark.parametrize("by", ["/card", "/card/number", "", "/to"])
def test_the_hash_of_a_redacted_value_cannot_be_computed_without_the_secret(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS_KEY_SECRET", SECRET)
    keyed = job_keys("Pay", options(by, redact=("/card", "/to")), PARAMS)
    plain = job_keys("Pay", options(by, redact=()), PARAMS)

    assert keyed.unique is not None
    assert keyed.unique.startswith("Pay:")
    assert (len(keyed.unique), len(keyed.concurrency or "")) == (len(plain.unique or ""), len(plain.concurrency or ""))
    assert keyed.unique != plain.unique
    assert keyed.concurrency != plain.concurrency


def test_the_hash_depends_on_the_secret_and_the_value_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_KEY_SECRET", SECRET)
    first = job_keys("Pay", options("/card"), PARAMS)
    assert job_keys("Pay", options("/card"), PARAMS.replace("ada", "bob")) == first
    assert job_keys("Pay", options("/card"), PARAMS.replace("4111", "4112")) != first
    assert job_keys("Buy", options("/card"), PARAMS).concurrency != first.concurrency

    monkeypatch.setenv("JOBS_KEY_SECRET", SECRET[::-1])
    assert job_keys("Pay", options("/card"), PARAMS) != first

    key_secret.give(SECRET)  # as a Worker does
    assert job_keys("Pay", options("/card"), PARAMS) == first


def test_other_values_need_no_secret_and_keep_their_keys() -> None:
    digest = sha256(canonical(["ada@example.com"]).encode()).hexdigest()[:32]

    assert job_keys("Pay", options("/to"), PARAMS) == JobKeys(f"Pay:{digest}", digest, "")
    assert job_keys("Pay", JobOptions(redact=("/card",)), PARAMS) == JobKeys(None, None, None)


@pytest.mark.parametrize(("secret", "state"), [("", "is not set"), ("secret", "has 6 characters")])
def test_without_a_secret_the_job_is_refused_with_advice(
    secret: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS_KEY_SECRET", secret)
    job = text_job(echo, options=JobOptions(unique_by=("/text",), redact=("/text",)))

    with pytest.raises(InvalidOptionError) as refused:
        job.new_job({"text": "a"})

    assert str(refused.value) == (
        f"{job.job_name} is unique by /text, which its spec redacts, so its hash needs a secret, and JOBS_KEY_SECRET "
        f"{state}; set it to what `server-jobs token` prints, the same for every process that enqueues or runs jobs"
    )
    assert job.new_job({"text": "a"}, unique_key="mine").unique_key == f"{job.job_name}:mine"


def test_a_correlation_id_has_at_most_200_characters() -> None:
    job = text_job(echo)
    assert job.new_job({"text": "a"}, correlation_id="x" * 200).correlation_id == "x" * 200

    with pytest.raises(
        InvalidOptionError, match=r"correlation_id must have at most 200 characters, and 'xxx.* has 201"
    ):
        job.new_job({"text": "a"}, correlation_id="x" * 201)


@pytest.mark.parametrize("persist", [True, False])
async def test_now_refuses_a_long_correlation_id_too(persist: bool) -> None:
    with pytest.raises(InvalidOptionError, match="correlation_id must have at most 200 characters"):
        await text_job(echo).now({"text": "a"}, correlation_id="x" * 201, persist=persist)
