"""Kernels are found by the names that jupyter_client finds them by."""

from __future__ import annotations

import json
import os
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


@pytest.mark.parametrize(
    "odd",
    [
        [],
        {"argv": []},
        {"argv": "python -m kernel"},
        {"argv": ["a\0b"]},
        {"argv": [5]},
        {"argv": ["x"], "env": ["A=1"]},
        {"argv": ["x"], "env": {"A=B": "1"}},
        {"argv": ["x"], "env": {"": "1"}},
        {"argv": ["x"], "env": {"A": "\0"}},
        {"argv": ["x"], "interrupt_mode": 5},
        {"argv": ["x"], "metadata": "m"},
    ],
)
def test_a_kernelspec_that_says_no_command_is_told_and_hides_no_other(kernels: Path, odd: object) -> None:
    (kernels / "odd").mkdir()
    (kernels / "odd/kernel.json").write_text(json.dumps(odd))
    with pytest.raises(KernelUnavailableError, match="cannot be read"):
        specs.find("odd")
    assert {"Deno", "ir"} <= {spec.name for spec in specs.installed()} - {"odd"}


def test_a_kernelspec_may_leave_out_what_it_does_not_say(kernels: Path) -> None:
    (kernels / "small").mkdir()
    spec = {"argv": ["x"], "env": {"N": 4}, "language": 5, "display_name": None, "metadata": None, "extra": [1]}
    (kernels / "small/kernel.json").write_text(json.dumps(spec))
    found = specs.find("small")
    assert (found.display_name, found.language, found.env, found.metadata) == ("small", "5", {"N": "4"}, {})


def test_a_kernels_variables_may_name_those_of_its_runner(kernels: Path) -> None:
    spec = {"argv": ["ir"], "env": {"PATH": "/opt/conda/bin:${PATH}", "MONEY": "$$5", "NONE": "${nowhere}"}}
    (kernels / "ir" / "kernel.json").write_text(json.dumps(spec))
    found = specs.find("ir").environment({"PATH": "/bin", "HOME": "/home"})
    assert found == {"PATH": "/opt/conda/bin:/bin", "HOME": "/home", "MONEY": "$5", "NONE": "${nowhere}"}


def test_kernels_are_found_for_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "~")  # what expanding it gives where the user is in no list of users
    found = specs.find("ir")
    assert os.environ["HOME"] == "/"
    monkeypatch.setenv("HOME", "~")
    assert found.environment({"A": "1"}) == {"A": "1", "HOME": "/"}
