"""The clauses of the stores' contract on clients that act at once: of two writers one wins, and nothing tears.

The clauses that a flag of the store does not promise are skipped. Part of :mod:`nbstep_runner.testing.contract`.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nbstep_runner.errors import OutputConflictError
from nbstep_runner.stores import ABSENT, Store, join

_WRITERS = 8
_THREADS = 2


class RaceClauses:
    """What holds at the same moment; a subclass gives the fixtures ``store`` and ``folder``."""

    def test_of_two_creators_one_wins(self, store: Store, folder: str) -> None:
        """At the same moment, too."""
        if not _conditional(store, folder):
            pytest.skip("the store does not promise it")
        uri = join(folder, "race.json")
        winners = _race(store, uri, ABSENT)
        assert len(winners) == 1
        assert store.read(uri).data == winners[0]

    def test_of_two_replacers_one_wins(self, store: Store, folder: str) -> None:
        """At the same moment, too."""
        if not _conditional(store, folder):
            pytest.skip("the store does not promise it")
        uri = join(folder, "race.json")
        winners = _race(store, uri, store.write(uri, b"before"))
        assert len(winners) == 1
        assert store.read(uri).data == winners[0]

    def test_one_store_serves_several_threads(self, store: Store, folder: str) -> None:
        """Objects of each thread come back as they went in, while others come and go."""
        barrier = threading.Barrier(_THREADS)

        def work(number: int) -> bool:
            uri = join(folder, f"{number}.ipynb")
            barrier.wait()
            for turn in range(5):
                data = f"{number} {turn} ".encode() * 10_000
                version = store.write(uri, data)
                blob, stat = store.read(uri), store.stat(uri)
                if (blob.data, blob.version) != (data, version) or stat is None or stat.version != version:
                    return False
            return uri in {stat.uri for stat in store.list(folder)}

        with ThreadPoolExecutor(_THREADS) as pool:
            assert all(pool.map(work, range(_THREADS)))

    def test_readers_see_one_object_or_the_other(self, store: Store, folder: str) -> None:
        """While an object is replaced, a reader gets the old one or the new one."""
        uri = join(folder, "a.ipynb")
        wholes = [b"A" * 300_000, b"B" * 200_000]
        store.write(uri, wholes[0])
        if not store.atomic_replace:
            pytest.skip("the store does not promise it")
        done = threading.Event()

        def replace() -> None:
            for turn in range(20):
                store.write(uri, wholes[turn % 2])
            done.set()

        with ThreadPoolExecutor(1) as pool:
            writer = pool.submit(replace)
            while not done.is_set() and not writer.done():
                assert store.read(uri).data in wholes
            writer.result()


def _conditional(store: Store, folder: str) -> bool:
    """The flag, after a conditional write has shown what the server does."""
    uri = join(folder, "first.json")
    store.write(uri, b"1", if_version=ABSENT)
    store.delete(uri)
    return store.conditional_write


def _race(store: Store, uri: str, version: str) -> list[bytes]:
    """What the writers that won wrote."""
    barrier = threading.Barrier(_WRITERS)

    def write(number: int) -> bytes | None:
        data = f"writer {number:2}".encode()
        barrier.wait()
        try:
            store.write(uri, data, if_version=version)
        except OutputConflictError:
            return None
        return data

    with ThreadPoolExecutor(_WRITERS) as pool:
        return [data for data in pool.map(write, range(_WRITERS)) if data]
