"""Bash, R and Python run the injected cell, and hold the values that were given."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbstep_runner.errors import BadInputError
from nbstep_runner.papermill_bridge import parameterize
from nbstep_runner.parameters import SecretReference
from parameter_values import AWKWARD, EDGES, any_inside, floats, integers, same, scalars, texts, translate, values
from servers.ports import require
from support import kernels

EXACT = 2**53
EVERY_CHARACTER = "".join(
    map(chr, [*range(1, 0x500), *range(0x2000, 0x2070), *range(0xFFF0, 0x10000), 0x1F600, 0x10FFFF])
)
ODD_TEXT = "géheim $x `y` \"'\\\n\nline\n"

batches = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
locales = pytest.mark.parametrize("locale", ["C", "C.UTF-8"])


def run(command: list[str], stdin: bytes, locale: str, **environment: str) -> bytes:
    env = {"PATH": os.environ["PATH"], "LC_ALL": locale, **environment}
    done = subprocess.run(command, input=stdin, capture_output=True, env=env, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def named(held: list[Any]) -> dict[str, Any]:
    return {f"v{index}": value for index, value in enumerate(held)}


# Bash


def is_bash_scalar(value: Any) -> bool:
    return isinstance(value, (bool, int, float)) or (isinstance(value, str) and "\0" not in value)


def bash_can_hold(value: Any) -> bool:
    return is_bash_scalar(value) or (isinstance(value, list) and all(map(is_bash_scalar, value)))


def bash_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def bash_values(held: dict[str, Any], locale: str, **environment: str) -> dict[str, list[str]]:
    """The elements of each variable, as Bash has them after running the cell."""
    script = translate(held, "bash")
    for name in held:
        script += f'printf \'%s\\0\' {name} "${{#{name}[@]}}" "${{{name}[@]}}"\n'
    printed = run(["bash", "--norc"], script.encode(), locale, **environment).decode().split("\0")
    found: dict[str, list[str]] = {}
    while len(printed) > 1:
        name, count = printed[0], int(printed[1])
        found[name] = printed[2 : 2 + count]
        printed = printed[2 + count :]
    return found


def check_bash(held: list[Any], locale: str) -> None:
    able = named([value for value in held if bash_can_hold(value)])
    expected = {
        name: list(map(bash_text, value)) if isinstance(value, list) else [bash_text(value)]
        for name, value in able.items()
    }
    assert bash_values(able, locale) == expected
    for value in held:
        if not bash_can_hold(value):
            with pytest.raises(BadInputError):
                translate({"x": value}, "bash")


@locales
@batches
@given(held=st.lists(scalars | st.lists(scalars, max_size=4) | values(), max_size=40))
def test_bash_holds_the_same_values(held: list[Any], locale: str) -> None:
    check_bash(held, locale)


@locales
def test_bash_holds_edges_and_every_character(locale: str) -> None:
    check_bash(
        [*EDGES, *AWKWARD, AWKWARD.replace("\0", ""), EVERY_CHARACTER, list(EVERY_CHARACTER), "-n", "~", "a=~"], locale
    )


def test_bash_reads_secrets(tmp_path: Path) -> None:
    file = tmp_path / "it's $HOME"
    file.write_text(ODD_TEXT + "\n", newline="")
    held = {"a": SecretReference("env", "TOKEN"), "b": ["x", SecretReference("env", "TOKEN")]}
    held["c"] = SecretReference("file", str(file))
    found = bash_values(held, "C.UTF-8", TOKEN=ODD_TEXT)
    assert found == {"a": [ODD_TEXT], "b": ["x", ODD_TEXT], "c": [ODD_TEXT]}


@pytest.mark.parametrize("secret", [SecretReference("env", "NOWHERE"), SecretReference("file", "/nowhere")])
def test_bash_does_not_go_on_without_a_secret(secret: SecretReference) -> None:
    script = "x=default\n" + translate({"x": secret}, "bash") + "echo went on with $x\n"
    done = subprocess.run(["bash", "--norc"], input=script, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "went on" not in done.stdout


# R


R_DUMP = r"""
hex <- function(s) paste(as.character(charToRaw(enc2utf8(s))), collapse = "")
dump <- function(x) {
  if (is.null(x)) "null"
  else if (is.list(x)) {
    inner <- vapply(seq_along(x), function(i) dump(x[[i]]), "")
    if (is.null(names(x))) paste0("[", paste(inner, collapse = ","), "]")
    else paste0("{", paste(sprintf('"%s":%s', vapply(names(x), hex, ""), inner), collapse = ","), "}")
  }
  else if (is.logical(x)) if (x) "true" else "false"
  else if (is.numeric(x)) paste0('["number","', if (is.nan(x)) "nan" else sprintf("%a", x), '"]')
  else paste0('["text","', hex(x), '"]')
}
"""


def r_can_hold(value: Any) -> bool:
    def beyond(one: Any) -> bool:
        is_integer = isinstance(one, int) and not isinstance(one, bool)
        return (is_integer and abs(one) > EXACT) or (isinstance(one, str) and "\0" in one)

    return not any_inside(value, beyond)


def r_form(value: Any) -> Any:
    """What R makes of a value: integers are doubles."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, list):
        return list(map(r_form, value))
    return {key: r_form(item) for key, item in value.items()} if isinstance(value, dict) else value


def r_undumped(value: Any) -> Any:
    match value:
        case ["number", str(text)]:
            return float.fromhex(text)
        case ["text", str(text)]:
            return bytes.fromhex(text).decode()
        case list():
            return list(map(r_undumped, value))
        case dict():
            return {bytes.fromhex(key).decode(): r_undumped(item) for key, item in value.items()}
    return value


def r_values(held: dict[str, Any], locale: str, tmp_path: Path, **environment: str) -> dict[str, Any]:
    rscript = require("Rscript", "r-base-core")
    script = tmp_path / "cell.R"
    lines = [f"cat(dump({name}), '\\n')" for name in held]
    script.write_text("\n".join([R_DUMP, translate(held, "R"), *lines]))
    run_as_a_kernel_does = f"eval(parse(text = readLines({str(script)!r})))"
    printed = run([rscript, "--vanilla", "-e", run_as_a_kernel_does], b"", locale, **environment)
    found = [r_undumped(json.loads(line)) for line in printed.splitlines()]
    return dict(zip(held, found, strict=True))


def check_r(held: list[Any], locale: str, tmp_path: Path) -> None:
    able = named([value for value in held if r_can_hold(value)])
    assert same(r_values(able, locale, tmp_path), {name: r_form(value) for name, value in able.items()})
    for value in held:
        if not r_can_hold(value):
            with pytest.raises(BadInputError):
                translate({"x": value}, "R")


@locales
@batches
@given(held=st.lists(values() | integers | floats | texts, max_size=40))
def test_r_holds_the_same_values(held: list[Any], locale: str, tmp_path: Path) -> None:
    check_r(held, locale, tmp_path)


@locales
def test_r_holds_edges_and_every_character(locale: str, tmp_path: Path) -> None:
    keys = {"": 1, "a": 2, "é": 3, 'a"b': 4, "if": 5, "a\nb": 6}
    long = ["x" * 100_000, "é" * 30_000, {"é" * 30_000: 1}]
    check_r([*EDGES, *AWKWARD, EVERY_CHARACTER, [], {}, [[]], [{}], keys, *long], locale, tmp_path)


def test_r_reads_every_decimal_as_the_same_double(tmp_path: Path) -> None:
    """R's own reader rounds twice: 0.1 % of these would be off by a bit if all were written in decimal."""
    source = random.Random(1)  # noqa: S311 - a repeatable sample, no secret
    sample = [float(f"{source.randrange(10**15)}e{source.randint(-30, 8)}") for _ in range(20_000)]
    assert same(r_values({"x": sample}, "C", tmp_path), {"x": sample})


@pytest.mark.parametrize(("name", "levels"), [("a", 45), ("é", 22)])
def test_r_refuses_what_its_parser_cannot_nest(tmp_path: Path, name: str, levels: int) -> None:
    def nested(levels: int) -> Any:
        return {name: nested(levels - 1)} if levels else 1

    check_r([nested(levels)], "C", tmp_path)
    with pytest.raises(BadInputError, match="more than 45 brackets"):
        translate({"x": nested(levels + 1)}, "ir")


def test_r_reads_secrets(tmp_path: Path) -> None:
    file = tmp_path / 'it\'s "quoted"'
    file.write_text(ODD_TEXT + "\n", newline="")
    held = {"a": SecretReference("env", "TOKEN"), "b": {"c": [SecretReference("file", str(file))]}}
    assert r_values(held, "C.UTF-8", tmp_path, TOKEN=ODD_TEXT) == {"a": ODD_TEXT, "b": {"c": [ODD_TEXT]}}


def test_r_stops_without_a_secret(tmp_path: Path) -> None:
    script = tmp_path / "cell.R"
    script.write_text(translate({"x": SecretReference("env", "NOWHERE")}, "ir"))
    rscript = require("Rscript", "r-base-core")
    done = subprocess.run([rscript, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "the secret is not set" in done.stderr


# Through papermill's place in a notebook, and real kernels


def printed_by(kernel: str, cell: str, held: dict[str, Any], environment: dict[str, str]) -> str:
    """What a cell prints that follows the injected one."""
    cells = [nbformat.v4.new_code_cell(cell)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": kernel, "display_name": kernel}})
    prepared = parameterize(
        notebook, held, kernel=None, language=None, report_mode=False, input_uri="in.ipynb", output_uri="out.ipynb"
    )
    prepared = nbformat.from_dict(prepared)
    nbformat.validate(prepared)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        executed = nbclient.execute(prepared, timeout=60)
    return "".join(output["text"] for output in executed.cells[1].outputs if output.output_type == "stream")


def test_the_bash_kernel_holds_text_that_a_terminal_would_act_on(tmp_path: Path) -> None:
    text = 'tab\tnewline\n\x03\x04\x1b[Aé😀 !! $HOME `ls` it\'s \\ "quoted" \x7f' + "x" * 10_000
    environment = kernels.bash(tmp_path) | {"LC_ALL": "C"}
    shown = printed_by("bash", 'printf %s "$x" | od -An -v -tx1', {"x": text}, environment)
    assert bytes.fromhex(shown) == text.encode()


def test_the_r_kernel_holds_the_same_text(tmp_path: Path) -> None:
    text = EVERY_CHARACTER + AWKWARD.replace("\0", "")
    environment = kernels.r(tmp_path) | {"LC_ALL": "C"}
    assert bytes.fromhex(printed_by("ir", "cat(charToRaw(x))", {"x": text}, environment)) == text.encode()


@batches
@given(held=st.dictionaries(st.text("abc", min_size=4, max_size=6), values(), min_size=1))
def test_python_holds_any_json_value_in_a_process_of_its_own(held: dict[str, Any]) -> None:
    cell = translate(held, "python")
    show = f"import json; print(json.dumps([{', '.join(held)}]))\n"
    printed = run([sys.executable, "-I", "-"], (cell + show).encode(), "C.UTF-8")
    assert same(json.loads(printed), list(held.values()))
