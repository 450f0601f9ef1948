"""Kernels are found by the names that jupyter_client finds them by."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from nbstep_runner.errors import KernelUnavailableError
from nbstep_runner.kernel import specs


@pytest.fixture(autouse=True)
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "jupyter/kernels"
    for name in ("Deno", "python", "ir"):
        (folder / name).mkdir(parents=True)
        spec = {"argv": [name, "{connection_file}"], "language": name, "display_name": name}
        (folder / name / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    return folder


@pytest.mark.parametrize("find", [specs.find, specs.guess, lambda name: specs.choose(name, None)])
def test_python_is_the_native_kernel(find: object) -> None:
    """Even where a kernelspec has that name: ``KernelManager`` looks for ``python3`` then."""
    assert callable(find)
    found = find("python")
    assert found.name == "python3"
    assert found.is_ipykernel


@pytest.mark.parametrize("name", ["deno", "DENO", "Deno"])
def test_a_name_may_be_written_in_any_case(name: str) -> None:
    assert specs.find(name).argv[0] == "Deno"
    assert specs.find(name).name == "Deno"


@pytest.mark.parametrize("name", ["x" * 100_000, "x" * 256, "a b", "../kernels/ir", "..", "ir\n", "a\x00", "é" * 50])
def test_what_cannot_be_a_name_is_refused_at_once(name: str) -> None:
    started = time.monotonic()
    with pytest.raises(KernelUnavailableError) as caught:
        specs.find(name)
    assert time.monotonic() - started < 30
    assert len(caught.value.message) < 500
    assert "ir" in caught.value.hint
    assert specs.guess(name) is None


def test_a_name_of_no_kernel_is_told_with_those_that_are_near() -> None:
    with pytest.raises(KernelUnavailableError) as caught:
        specs.find("irr")
    assert "Did you mean 'ir'?" in caught.value.hint
