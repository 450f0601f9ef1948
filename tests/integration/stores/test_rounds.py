"""Races of eight writers, and writers that are killed, against every server: a few rounds, or as many as one asks for.

``make stores`` asks for thirty races and twenty kills of each kind, and prints the table of docs/storage.md.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from nbstep_runner.contract import encode
from nbstep_runner.errors import InputNotFoundError, NbstepError, OutputConflictError, StorageDeniedError
from nbstep_runner.stores import ABSENT, Store
from servers.every import EVERY, Where

RACES = int(os.environ.get("NBSTEP_STORE_RACES", "2"))
KILLS = int(os.environ.get("NBSTEP_STORE_KILLS", "2"))
WRITERS = 8
SIZE = 4_000_000
_WRITER = """
import sys
from nbstep_runner.contract import StorageOptions, decode
from nbstep_runner.stores import open_store
uri, options = sys.argv[1], decode(sys.argv[2].encode(), StorageOptions)
store = open_store(uri, options)
store.stat(uri)
print("begun", flush=True)
while True:
    for byte in b"ABC":
        store.write(uri, bytes([byte]) * int(sys.argv[3]))
"""


@pytest.fixture(params=EVERY)
def where(request: pytest.FixtureRequest) -> Iterator[Where]:
    """Each server in turn; what was counted is printed where many rounds were asked for."""
    found = Where.on(request.param, request.getfixturevalue)
    yield found
    if RACES > 2:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            for what, counts in found.counts.items():
                sys.stdout.write(f"\n{found.kind}: {what}: {dict(counts)}")


@pytest.mark.fault(24)
@pytest.mark.fault(66)
@pytest.mark.parametrize("creates", [True, False], ids=["creating", "replacing"])
def test_what_is_promised_of_two_writers_holds(where: Where, creates: bool) -> None:
    """Each writer is a client of its own. Without the promise several may win; what is in place is a winner's."""
    uri, before = where.folder + "race.json", where.store()
    for turn in range(RACES):
        version = ABSENT
        if creates:
            before.delete(uri)
        else:
            version = before.write(uri, f"before {turn}".encode())
        stores, gate = [where.store() for _ in range(WRITERS)], threading.Barrier(WRITERS)

        def write(
            number: int, stores: list[Store] = stores, gate: threading.Barrier = gate, at: str = version
        ) -> bytes:
            data = f"writer {number}".encode()
            stores[number].stat(uri)
            gate.wait(60)
            try:
                stores[number].write(uri, data, if_version=at)
            except OutputConflictError:
                return b""
            return data

        with ThreadPoolExecutor(WRITERS) as pool:
            winners = [data for data in pool.map(write, range(WRITERS)) if data]
        where.count("winners of a creation" if creates else "winners of a replacement", len(winners))
        assert before.read(uri).data in winners
        if any(store.conditional_write for store in stores):
            assert len(winners) == 1
        where.count("conditional", any(store.conditional_write for store in stores))


@pytest.mark.fault(65)
def test_a_writer_that_is_killed_tears_nothing(where: Where) -> None:
    """At a random moment of a write, again and again: one of the whole objects is in place."""
    uri, store = where.folder + "killed.ipynb", where.store()
    wholes = {bytes([byte]) * SIZE for byte in b"ABC"}
    store.write(uri, b"A" * SIZE)
    options = encode(where.options).decode()
    for _ in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, uri, options, str(SIZE)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(random.uniform(0.0, 0.5))  # noqa: S311 - any moment will do
            writer.send_signal(signal.SIGKILL)
        assert _read(store, uri) in wholes
        where.count("killed", "whole")
        store.write(uri, b"B" * SIZE)
    assert [stat.uri for stat in store.list(where.folder)] == [uri]


@pytest.mark.fault(66)
def test_readers_meet_what_the_flag_says(where: Where) -> None:
    """While an object is replaced; a gap is no lie where the flag does not promise that there is none."""
    uri, store, reader = where.folder + "read.ipynb", where.store(), where.store()
    wholes = [b"A" * 300_000, b"B" * 200_000]
    store.write(uri, wholes[0])
    done = threading.Event()

    def replace() -> None:
        try:
            for turn in range(10 * RACES):
                store.write(uri, wholes[turn % 2])
        finally:
            done.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(replace)
        while not done.is_set():
            where.count("readers", _met(reader, uri, wholes))
        writing.result()
    met = where.counts["readers"]
    where.count("atomic", store.atomic_replace)
    assert met["whole"] > 0
    if store.atomic_replace or where.kind == "openssh-plain":
        assert set(met) == {"whole"}


def _met(reader: Store, uri: str, wholes: list[bytes]) -> str:
    try:
        return "whole" if reader.read(uri).data in wholes else "torn"
    except (InputNotFoundError, StorageDeniedError):  # Apache answers 403 between its look and its reading
        return "nothing"


def _read(store: Store, uri: str) -> bytes:
    """What is in place once a server has noticed that a writer is gone."""
    for _ in range(20):
        try:
            return store.read(uri).data
        except NbstepError:
            time.sleep(0.1)
    return store.read(uri).data
