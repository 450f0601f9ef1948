"""Notebooks in JavaScript and TypeScript take parameters, and hold the values that were given."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nbstep_runner.parameters import dump_yaml
from parameter_values import AWKWARD, EDGES, same
from support import kernels
from support.notebooks import Code, write
from support.runs import Done, run

pytestmark = pytest.mark.slow

EXACT = [value for value in EDGES if abs(value) <= 2**53]
FLOATS = [0.1, -0.0, 1e-300, 5e-324, 1.7976931348623157e308, 1e16, 1e21, float("nan"), float("inf"), -float("inf")]
VALUES: list[Any] = [*EXACT, *FLOATS, AWKWARD, *AWKWARD, *(one + "0aF" for one in AWKWARD), True, False, None, ""]
VALUES += [[], {}, [[]], [{}], [None], [1, "a", 2.5], {"": None, "a\n": [1]}, {"__proto__": {"a": 1}, "b": 1}, "${x}"]
DUMP = """console.log(JSON.stringify([{names}], (key, value) =>
  typeof value === "number" ? "number:" + (Object.is(value, -0) ? "-0.0" : String(value))
  : typeof value === "string" ? "text:" + value : value))"""
Kernel = Callable[[Path], dict[str, str]]
KERNELS = [
    pytest.param(("deno", "typescript", kernels.deno), id="deno"),
    pytest.param(("tslab", "typescript", kernels.tslab), id="tslab"),
    pytest.param(("jslab", "javascript", partial(kernels.tslab, javascript=True)), id="jslab"),
]


def ran(tmp_path: Path, kernel: tuple[str, str, Kernel], cells: list[Any], *options: str, **more: Any) -> Done:
    name, language, install = kernel
    spec = {"name": name, "display_name": name, "language": language}
    source = write(tmp_path / "in.ipynb", cells, kernelspec=spec)
    environment = install(tmp_path) | more.pop("env", {})
    return run(tmp_path, source, *options, "--cwd", str(tmp_path), env=environment, **more)


def undumped(value: Any) -> Any:
    match value:
        case str():
            kind, _, text = value.partition(":")
            return float(text) if kind == "number" else text
        case list():
            return list(map(undumped, value))
        case dict():
            return {key: undumped(item) for key, item in value.items()}
    return value


def doubled(value: Any) -> Any:
    match value:
        case list():
            return list(map(doubled, value))
        case dict():
            return {key: doubled(item) for key, item in value.items()}
    return float(value) if type(value) is int else value


@pytest.mark.fault(35)
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_value_is_held(tmp_path: Path, kernel: tuple[str, str, Kernel]) -> None:
    held = {f"v{index}": value for index, value in enumerate(VALUES)}
    (tmp_path / "values.yaml").write_bytes(dump_yaml(held))
    done = ran(tmp_path, kernel, [DUMP.replace("{names}", ", ".join(held))], "-f", str(tmp_path / "values.yaml"))
    assert (done.code, done.stderr) == (0, "")
    found = dict(zip(held, map(undumped, json.loads(done.text(1))), strict=True))
    wrong = {name: (value, found[name]) for name, value in held.items() if not same(found[name], doubled(value))}
    assert not wrong


@pytest.mark.parametrize("kernel", KERNELS)
def test_parameters_are_typed_and_replace_the_declared_ones(tmp_path: Path, kernel: tuple[str, str, Kernel]) -> None:
    typed = kernel[1] == "typescript"
    declared = (
        "const rate: number = 0.5, big: bigint = 1n; let names: string[] = []\nvar maybe: string | null = 'x'"
        if typed
        else "const rate = 0.5, big = 1n; let names = []\nvar maybe = 'x'"
    )
    cells = [Code(declared, tags=("parameters",)), "console.log(rate + 1, String(big), names.length, maybe)"]
    given = (
        f"{{rate: 2, big: {2**70}, names: [a, b], maybe: ~}}" if typed else f"{{rate: 2, big: {2**70}, names: [a, b]}}"
    )
    done = ran(tmp_path, kernel, cells, "-y", given)
    assert (done.code, done.stderr) == (0, "")
    assert done.text(2) == f"3 {2**70} 2 {'null' if typed else 'x'}\n"


@pytest.mark.parametrize(
    ("given", "reason"), [("rate: fast", "rate: 'fast' is not of type float"), ("rat: 1", "did you mean rate?")]
)
def test_what_does_not_fit_is_refused_before_the_first_cell(tmp_path: Path, given: str, reason: str) -> None:
    cells = [Code("let rate: number = 0.5", tags=("parameters",)), "console.log(rate)"]
    done = ran(tmp_path, ("deno", "typescript", kernels.deno), cells, "-y", given)
    assert (done.code, done.states) == (65, [])
    assert reason in done.error["message"]


def test_secrets_are_read_when_the_cell_runs(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    cells = [Code("let a = '', b = ''", tags=("parameters",)), "console.log(a === 'from the env', b === 'from a file')"]
    given = f"{{a: {{secret: 'env:TOKEN'}}, b: {{secret: 'file:{tmp_path / 'secret'}'}}}}"
    done = ran(tmp_path, ("deno", "typescript", kernels.deno), cells, "-y", given, env={"TOKEN": "from the env"})
    assert (done.code, done.text(2)) == (0, "true true\n")
    assert "from" not in done.notebook.cells[1].source


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_cell_that_throws_fails_with_what_its_kernel_tells(tmp_path: Path, kernel: tuple[str, str, Kernel]) -> None:
    cells = ["console.log('before')", "throw new RangeError('no such station')", "console.log('never')"]
    done = ran(tmp_path, kernel, cells)
    assert (done.code, done.states) == (10, ["succeeded", "failed", "not_run"])
    assert (done.stderr, done.text(0)) == ("", "before\n")
    assert done.error["reference"] == "cell-failed"
    assert "no such station" in done.error["message"]
    told = json.dumps([output for output in done.cells[1].outputs if output.output_type in ("error", "stream")])
    assert "RangeError: no such station" in told or ("RangeError" in told and "no such station" in told)
