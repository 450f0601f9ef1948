"""How callers are looked up: what is known at once waits for nobody, and what is not known does not wait for ever."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import httpx
import pytest
from starlette.responses import PlainTextResponse

from nbstep.errors import ClusterDeniedError
from nbstep.server.team import access
from nbstep.server.team.access import REVIEWS_AT_ONCE, Doors, TeamAccess
from nbstep.server.team.identity import FileOfTokens, Identity
from nbstep.server.team.remembered import Answer, Remembered
from nbstep.server.team.rights import Rights
from nbstep_runner.errors import BadInputError
from support.service import config

if TYPE_CHECKING:
    from pathlib import Path

GENEROUS: Final = 120.0
SECRETS: Final = "system:serviceaccount:nbstep:server at https://10.0.0.1:6443 may not create tokenreviews"


@dataclass
class Cluster:
    """A cluster that reviews tokens, as slowly as it is told to."""

    review: Callable[[str], Identity | None]
    asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        self._known: Remembered[Identity | None] = Remembered(GENEROUS)

    def identity(self, token: str) -> Identity | None:
        return self._known.get(token, partial(self._review, token))

    def remembered(self, token: str) -> Answer[Identity | None] | None:
        return self._known.held(token)

    def _review(self, token: str) -> Identity | None:
        self.asked.release()
        return self.review(token)


def write_tokens(file: Path, *names: str) -> None:
    tokens = [{"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest()} for name in names]
    file.write_text(json.dumps({"tokens": tokens}))


def client_of(tmp_path: Path, cluster: Cluster) -> httpx.AsyncClient:
    """Of a server that knows ``submitter`` by a file, and others by a cluster."""
    file = tmp_path / "tokens.yaml"
    write_tokens(file, "submitter")
    told = config(folders={"a": {"uri": "/runs", "readers": ["submitter"]}}, access={"tokens": str(file)})
    doors = Doors(FileOfTokens(file), cluster, None)
    app = TeamAccess(PlainTextResponse("in"), told, doors, Rights(told, None))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://team")


async def ask(client: httpx.AsyncClient, token: str, path: str = "/v1/runs") -> httpx.Response:
    return await client.get(path, headers={"authorization": f"Bearer {token}"})


@pytest.mark.fault(62)
def test_while_a_cluster_is_slow_only_tokens_that_it_has_to_review_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()

    def review(token: str) -> Identity | None:
        if token == "reader":  # noqa: S105 - no secret
            return Identity("reader")
        answers.wait(GENEROUS)
        return None

    cluster = Cluster(review)

    async def during_an_outage() -> tuple[list[int], httpx.Response]:
        async with client_of(tmp_path, cluster) as client:
            first = await ask(client, "reader")
            wrong = [asyncio.create_task(ask(client, f"wrong {number}")) for number in range(REVIEWS_AT_ONCE)]
            for _ in range(1 + REVIEWS_AT_ONCE):
                assert await asyncio.to_thread(cluster.asked.acquire, timeout=GENEROUS)
            try:
                at_once = [await ask(client, token) for token in ("submitter", "reader")]
                monkeypatch.setattr(access, "LOOKUP_SECONDS", 0.01)
                late = await ask(client, "stranger")
            finally:
                answers.set()
                await asyncio.gather(*wrong)
            return [each.status_code for each in (first, *at_once)], late

    statuses, late = asyncio.run(during_an_outage())
    assert statuses == [200, 200, 200]
    assert (late.status_code, late.headers["retry-after"]) == (503, "5")


def test_why_nobody_can_be_looked_up_is_for_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def denied(_: str) -> Identity | None:
        raise ClusterDeniedError(SECRETS)

    async def ask_as_a_stranger() -> httpx.Response:
        async with client_of(tmp_path, Cluster(denied)) as client:
            return await ask(client, "stranger")

    answer = asyncio.run(ask_as_a_stranger())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["detail"] == "callers cannot be looked up now; the server's log says why"
    assert "10.0.0.1" not in answer.text
    assert SECRETS in caplog.text


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", 200), ("/healthzfoo", 401), ("/readyz/x", 401), ("/static/x", 200)]
)
def test_what_is_open_is_that_alone(tmp_path: Path, path: str, status: int) -> None:
    async def ask_as_a_stranger() -> httpx.Response:
        async with client_of(tmp_path, Cluster(lambda _: None)) as client:
            return await ask(client, "", path)

    assert asyncio.run(ask_as_a_stranger()).status_code == status


def test_a_file_of_tokens_that_cannot_be_read_lets_nobody_in(tmp_path: Path) -> None:
    file = tmp_path / "folder/tokens.yaml"
    file.parent.mkdir()
    write_tokens(file, "submitter")
    tokens = FileOfTokens(file)
    assert tokens.identity("submitter") == Identity("submitter")
    file.unlink()
    file.mkdir()
    with pytest.raises(BadInputError, match=r"the file of tokens .* cannot be read: Is a directory"):
        tokens.identity("submitter")


def test_a_file_of_tokens_is_read_by_one_thread_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has read what was there before a change must not keep it in the place of what another read since."""
    file = tmp_path / "tokens.yaml"
    write_tokens(file, "submitter")
    tokens = FileOfTokens(file)
    read_bytes, is_reading, told = type(file).read_bytes, threading.Event(), []

    def read_slowly(path: Path) -> bytes:
        data = read_bytes(path)
        if not is_reading.is_set():
            told.append("one reads")
            write_tokens(file, "submitter", "stranger", "zoe")  # of another size: clocks of file systems are coarse
            is_reading.set()
            other.join(0.1)  # if it read as well, it would be over by now
            told.append("one has read")
        else:
            told.append("the other reads")
        return data

    def ask_during_a_read() -> None:
        assert is_reading.wait(GENEROUS)
        assert tokens.identity("stranger") == Identity("stranger")

    write_tokens(file, "submitter", "reader")
    monkeypatch.setattr(type(file), "read_bytes", read_slowly)
    other = threading.Thread(target=ask_during_a_read)
    other.start()
    tokens.identity("reader")
    other.join(GENEROUS)
    assert told == ["one reads", "one has read", "the other reads"]
    assert [tokens.identity(name) for name in ("stranger", "reader")] == [Identity("stranger"), None]
