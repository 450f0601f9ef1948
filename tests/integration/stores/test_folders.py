"""Writers that make and remove the same folders at one moment, on every server that has folders."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nbstep_runner.stores import ABSENT
from servers.every import WITH_FOLDERS, Where

ROUNDS = 8
WRITERS = 8


@pytest.fixture(params=WITH_FOLDERS)
def where(request: pytest.FixtureRequest) -> Where:
    """Each server in turn."""
    return Where.on(request.param, request.getfixturevalue)


@pytest.mark.fault(73)
@pytest.mark.parametrize("shared", [True, False], ids=["one store", "a store each"])
def test_a_new_folder_is_no_conflict(where: Where, shared: bool) -> None:
    """Eight writers, each of an object of its own, in folders that none of them finds: none is told of another."""
    stores = [where.store()] * WRITERS if shared else [where.store() for _ in range(WRITERS)]
    for turn in range(ROUNDS):
        gate = threading.Barrier(WRITERS)
        folder = f"{where.folder}{turn}/runs/new/"

        def write(number: int, gate: threading.Barrier = gate, folder: str = folder) -> None:
            gate.wait(60)
            stores[number].write(f"{folder}{number}.ipynb", b"x" * 1000)

        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(write, range(WRITERS)))
        assert len(list(stores[0].list(folder))) == WRITERS


@pytest.mark.fault(73)
def test_a_folder_that_comes_and_goes_is_no_conflict(where: Where) -> None:
    """Some servers remove a folder with its last object, while others write into it."""
    gate = threading.Barrier(WRITERS)

    def write_and_remove(number: int) -> None:
        uri, store = f"{where.folder}runs/new/{number}.ipynb", where.store()
        gate.wait(60)
        for _ in range(ROUNDS):
            version = store.write(uri, b"x" * 1000, if_version=ABSENT)
            store.delete(uri, if_version=version)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write_and_remove, range(WRITERS)))
    assert list(where.store().list(where.folder)) == []
