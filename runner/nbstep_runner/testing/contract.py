"""The contract of every store, as tests: subclass :class:`StoreContract` where your tests are, and run pytest.

A subclass gives two fixtures::

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self) -> Store: ...

        @pytest.fixture
        def folder(self) -> str: ...  # a URI that ends with "/", with nothing below it

The clauses that a flag of the store does not promise are skipped. Only this module and the clauses on clients that act
at once (:mod:`nbstep_runner.testing.races`) need pytest.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nbstep_runner.errors import BadInputError, InputNotFoundError, NbstepError, OutputConflictError
from nbstep_runner.stores import ABSENT, Stat, Store, join
from nbstep_runner.stores.memory import MemorySpace, MemoryStore
from nbstep_runner.testing.races import RaceClauses
from nbstep_runner.testing.walk import Walk, steps

_EVERY_BYTE = bytes(range(256))


class StoreContract(RaceClauses):
    """What holds for every store; what holds among several clients at once is in the base.

    Attributes:
        large_bytes: The size of the large object that is written from a file.
        awkward_names: Names that the store has to take as they are.
    """

    large_bytes = 20 * 2**20
    awkward_names: tuple[str, ...] = (
        "with space.ipynb",
        "a+b&c=d.ipynb",
        "ünïcödé-日本.ipynb",
        "50%.ipynb",
        "x'y,(z).json",
    )

    @pytest.fixture
    def store(self) -> Store:
        """The store under test."""
        raise NotImplementedError

    @pytest.fixture
    def folder(self) -> str:
        """A place of its own for each test."""
        raise NotImplementedError

    def named(self, folder: str, name: str) -> str:
        """The URI of an object with that name; stores whose URIs are percent-encoded encode it here."""
        return folder + name

    @pytest.mark.parametrize("data", [b"", b"{}", _EVERY_BYTE * 40, b"line\r\nline\rline\n"])
    def test_what_was_written_is_read(self, store: Store, folder: str, data: bytes) -> None:
        """Bytes come back as they went in, at the version that the write returned."""
        version = store.write(join(folder, "a.ipynb"), data)
        blob = store.read(join(folder, "a.ipynb"))
        assert blob.data == data
        assert blob.version == version
        assert version != ABSENT

    def test_a_stat_tells_size_and_version(self, store: Store, folder: str) -> None:
        """A stat agrees with the object."""
        uri = join(folder, "a.ipynb")
        version = store.write(uri, b"12345")
        stat = store.stat(uri)
        assert stat is not None
        assert (stat.uri, stat.size, stat.version) == (uri, 5, version)

    def test_a_file_is_written_as_bytes_are(self, store: Store, folder: str, tmp_path: Path) -> None:
        """A large local file goes in and comes back."""
        data = os.urandom(self.large_bytes)
        (tmp_path / "large").write_bytes(data)
        version = store.write(join(folder, "large.ipynb"), tmp_path / "large")
        blob = store.read(join(folder, "large.ipynb"))
        assert blob.version == version
        assert blob.data == data

    def test_an_object_is_replaced(self, store: Store, folder: str) -> None:
        """A second write wins, at another version."""
        uri = join(folder, "a.ipynb")
        first = store.write(uri, b"first")
        second = store.write(uri, b"second one")
        assert first != second
        assert store.read(uri).data == b"second one"

    def test_folders_are_made(self, store: Store, folder: str) -> None:
        """Missing parents are no obstacle."""
        uri = join(folder, "runs/2026/r1/output.ipynb")
        store.write(uri, b"deep")
        assert store.read(uri).data == b"deep"

    def test_what_is_missing_is_told_so(self, store: Store, folder: str) -> None:
        """Reading raises, a stat is none, a listing is empty, deleting is no error."""
        uri = join(folder, "missing.ipynb")
        with pytest.raises(InputNotFoundError):
            store.read(uri)
        assert store.stat(uri) is None
        assert list(store.list(join(folder, "nowhere/"))) == []
        store.delete(uri)

    def test_an_object_is_deleted(self, store: Store, folder: str) -> None:
        """It is gone, and can be made again."""
        uri = join(folder, "a.ipynb")
        store.write(uri, b"1")
        store.delete(uri)
        assert store.stat(uri) is None
        store.write(uri, b"2", if_version=ABSENT)
        assert store.read(uri).data == b"2"

    def test_only_one_creates(self, store: Store, folder: str) -> None:
        """Where an object is, creating fails and changes nothing."""
        uri = join(folder, "a.ipynb")
        store.write(uri, b"first", if_version=ABSENT)
        with pytest.raises(OutputConflictError):
            store.write(uri, b"the second", if_version=ABSENT)
        assert store.read(uri).data == b"first"

    def test_a_version_is_replaced_once(self, store: Store, folder: str) -> None:
        """A version that has passed is refused, and nothing is changed."""
        uri = join(folder, "a.ipynb")
        first = store.write(uri, b"1")
        store.write(uri, b"22", if_version=first)
        with pytest.raises(OutputConflictError):
            store.write(uri, b"333", if_version=first)
        assert store.read(uri).data == b"22"

    def test_a_version_of_a_missing_object_is_refused(self, store: Store, folder: str) -> None:
        """An object that was removed meanwhile is not made again by a conditional write."""
        uri = join(folder, "a.ipynb")
        version = store.write(uri, b"1")
        store.delete(uri)
        with pytest.raises(OutputConflictError):
            store.write(uri, b"22", if_version=version)
        assert store.stat(uri) is None

    def test_a_version_is_deleted(self, store: Store, folder: str) -> None:
        """A version that has passed is not deleted; the present one is."""
        uri = join(folder, "a.ipynb")
        first = store.write(uri, b"1")
        second = store.write(uri, b"22")
        with pytest.raises(OutputConflictError):
            store.delete(uri, if_version=first)
        assert store.read(uri).data == b"22"
        store.delete(uri, if_version=second)
        assert store.stat(uri) is None

    def test_a_listing_is_complete_and_in_order(self, store: Store, folder: str) -> None:
        """Every depth, in the order of whole names, and nothing beside the prefix."""
        names = ["b.ipynb", "a/x.ipynb", "a.ipynb", "a/b/y.ipynb", "a-1.ipynb", "ab/z.ipynb"]
        for name in names:
            store.write(join(folder, name), name.encode())
        assert [stat.uri for stat in store.list(folder)] == [join(folder, name) for name in sorted(names)]
        inner = [join(folder, name) for name in ("a/b/y.ipynb", "a/x.ipynb")]
        assert [stat.uri for stat in store.list(join(folder, "a/"))] == inner

    def test_a_listing_agrees_with_stats(self, store: Store, folder: str) -> None:
        """Sizes and versions are those of the objects."""
        for size, name in enumerate(("a.ipynb", "b.result.json", "c/d.html")):
            store.write(join(folder, name), b"x" * size)
        listed = {stat.uri: _identity(stat) for stat in store.list(folder)}
        assert listed == {uri: _identity(store.stat(uri)) for uri in listed}
        assert len(listed) == 3

    def test_awkward_names_are_kept(self, store: Store, folder: str) -> None:
        """A name is a name, whatever characters it has."""
        uris = [self.named(folder, name) for name in self.awkward_names]
        for size, uri in enumerate(uris):
            store.write(uri, b"x" * size)
        assert [len(store.read(uri).data) for uri in uris] == list(range(len(uris)))
        assert {stat.size for stat in store.list(folder)} == set(range(len(uris)))

    @pytest.mark.parametrize("name", ["../up.ipynb", "a/../b.ipynb", "a\nb.ipynb", "{name}.ipynb", "a\u202eb.ipynb"])
    def test_dangerous_names_are_refused(self, store: Store, folder: str, name: str) -> None:
        """No operation follows them."""
        if "://" not in folder and ".." in name:
            pytest.skip("a person may type .. in a plain path")
        operations: tuple[Callable[[], object], ...] = (
            lambda: store.read(folder + name),
            lambda: store.write(folder + name, b"x"),
            lambda: store.stat(folder + name),
            lambda: store.delete(folder + name),
        )
        for operation in operations:
            with pytest.raises(BadInputError):
                operation()

    def test_a_failed_write_changes_nothing(self, store: Store, folder: str, tmp_path: Path) -> None:
        """Where the bytes cannot be had, the old object stays and nothing else appears."""
        uri = join(folder, "a.ipynb")
        store.write(uri, b"good")
        with pytest.raises((NbstepError, OSError)):
            store.write(uri, tmp_path / "missing")
        assert store.read(uri).data == b"good"
        assert [stat.uri for stat in store.list(folder)] == [uri]

    @pytest.mark.parametrize("seed", range(3))
    def test_it_behaves_as_the_memory_store_does(self, store: Store, folder: str, seed: int) -> None:
        """A long walk of mixed operations has the same outcomes in both."""
        walks = Walk(store, folder), Walk(MemoryStore(MemorySpace()), "memory://model/")
        for number, step in enumerate(steps(seed)):
            outcomes = [walk.take(step) for walk in walks]
            assert outcomes[0] == outcomes[1], f"step {number}: {step.choice} {step.name}"


def _identity(stat: Stat | None) -> tuple[int, str] | None:
    return (stat.size, stat.version) if stat else None
