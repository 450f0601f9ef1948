"""Local files and memory keep the contract of stores."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from nbstep_runner.stores import Store, open_store
from nbstep_runner.testing import FaultyStore, MemorySpace, MemoryStore
from nbstep_runner.testing.contract import StoreContract


class TestLocal(StoreContract):
    @pytest.fixture
    def store(self, folder: str) -> Store:
        return open_store(folder)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> str:
        return f"{tmp_path}/place/"


class TestFileUris(TestLocal):
    @pytest.fixture
    def folder(self, tmp_path: Path) -> str:
        return f"{(tmp_path / 'a place').as_uri()}/"

    def named(self, folder: str, name: str) -> str:
        return folder + quote(name)


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore(MemorySpace())

    @pytest.fixture
    def folder(self) -> str:
        return "memory://bucket/some/"


class TestAroundAnother(TestMemory):
    @pytest.fixture
    def store(self) -> Store:
        return FaultyStore(MemoryStore(MemorySpace()))
