"""What a notebook's parameters cell declares."""

from __future__ import annotations

import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbstep_runner.parameters import MISSING, Parameter, Signature, read_signature, signature_schema


def notebook(source: str | list[str], *, tags: tuple[str, ...] = ("parameters",), **metadata: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": source, "outputs": []}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": [cell]}


def signature(source: str) -> Signature:
    return read_signature(notebook(source))


def only(source: str) -> Parameter:
    (parameter,) = signature(source).parameters
    return parameter


@pytest.mark.parametrize(
    ("source", "default", "kind"),
    [
        ("x = 5", 5, "int"),
        ("x = -5", -5, "int"),
        ("x = 1e-3", 0.001, "float"),
        ("x = True", True, "bool"),
        ("x = None", None, "Any"),
        ("x = 'a=b#c'", "a=b#c", "str"),
        ('x = """two\nlines"""', "two\nlines", "str"),
        ("x = [1,\n  2,  # two\n]", [1, 2], "list"),
        ("x = {'a': {'b': (1, 2)}}", {"a": {"b": [1, 2]}}, "dict"),
        ("x = (1, 2)", [1, 2], "tuple"),
        ("x: int = 5", 5, "int"),
        ("x: float = 5", 5, "float"),
        ("x: int | None = None", None, "int | None"),
        ("x: 'Optional[int]' = 5", 5, "int | None"),
        ("x: Literal['a', 'b'] = 'a'", "a", "Literal['a', 'b']"),
        ("x = 5  # type: float", 5, "float"),
        ("x = {}  # type: Dict[str, int]", {}, "dict[str, int]"),
        ("x = 5  # type: int | None", 5, "int | None"),
        ("x = 5  # type: ignore", 5, "int"),
        ("x = Path('/data')", "/data", "Path"),
        ("x = pathlib.Path('/data')", "/data", "Path"),
        ("x = float('inf')", float("inf"), "float"),
        ("x = y = 5", 5, "int"),
    ],
)
def test_an_assignment_declares_a_name_its_default_and_its_type(source: str, default: Any, kind: str) -> None:
    parameter = signature(source).parameters[0]
    assert (parameter.name, parameter.default, str(parameter.kind)) == ("x", default, kind)
    assert not parameter.required


@pytest.mark.parametrize(
    ("source", "written", "kind"),
    [
        ("x = os.environ['X']", "os.environ['X']", "Any"),
        ("x = 60 * 60", "60 * 60", "Any"),
        ("x = set(y)", "set(y)", "set"),
        ("x = dict(a=1)", "dict(a=1)", "dict"),
        ("x = b'bytes'", "b'bytes'", "Any"),
        ("x = f'{y}'", "f'{y}'", "Any"),
        ("x = datetime.date(2024, 1, 1)", "datetime.date(2024, 1, 1)", "date"),
        ("x: int = compute()", "compute()", "int"),
        ("x = !ls", "...", "Any"),
        ("x = %env HOME", "...", "Any"),
    ],
)
def test_a_default_that_has_to_be_computed_is_unknown_but_there(source: str, written: str, kind: str) -> None:
    parameter = only(source)
    assert (parameter.default, parameter.default_source, str(parameter.kind)) == (MISSING, written, kind)
    assert not parameter.required


def test_a_set_is_known_as_json_lists_it() -> None:
    parameter = only("x = {'b', 'a'}")
    assert (parameter.default, str(parameter.kind)) == (["a", "b"], "set")
    assert parameter.kind.schema() == {"type": "array"}


def test_the_code_that_is_tagged_is_read_where_text_is_tagged_too() -> None:
    text = {"cell_type": "markdown", "metadata": {"tags": ["parameters"]}, "source": "# Parameters"}
    code = {"cell_type": "code", "metadata": {"tags": "parameters"}, "source": "x = 1"}
    assert read_signature({"cells": [text, code]}).names == ("x",)
    assert not read_signature({"cells": [text]}).declared


def test_an_annotated_name_without_a_value_is_required() -> None:
    parameter = only("BUCKET: str  # where the data is")
    assert parameter == Parameter(
        name="BUCKET", annotation="str", help="where the data is", required=True, kind=parameter.kind
    )
    assert str(parameter.kind) == "str"


def test_a_name_that_gets_its_value_on_another_line_is_one_parameter() -> None:
    parameter = only("x: int  # how many\nx = 5")
    assert (parameter.annotation, parameter.default, parameter.required, parameter.help) == (
        "int",
        5,
        False,
        "how many",
    )


def test_the_last_of_several_values_is_the_default() -> None:
    assert only("x = 1\nx = 'two'").default == "two"


@pytest.mark.parametrize(
    ("source", "help_text"),
    [
        ("x = 1  # beside", "beside"),
        ("# above\nx = 1", "above"),
        ("# above\n# and more\nx = 1", "above and more"),
        ("# above\nx = 1  # beside", "beside"),
        ("# heading\n\nx = 1", ""),
        ("# Parameters\nx = 1", ""),
        ("# --- data ---\nx = 1", "data"),
        ("x = 1  # type: int how many", "how many"),
        ("x = {}  # type: Dict[str, int] # by name", "by name"),
        ("x = [1,  # first\n  2]  # all of them", "all of them"),
        ("x = [1,\n  2]", ""),
        ("x: Annotated[int, 'how many'] = 1  # beside", "how many"),
        ("x = '# no comment'", ""),
        ("x = 1; y = 2  # both", "both"),
    ],
)
def test_comments_are_help(source: str, help_text: str) -> None:
    assert signature(source).parameters[0].help == help_text


def test_unpacking_declares_each_name() -> None:
    found = signature("a, (b, *c) = 1, (2, 3)\nd, e = compute()")
    assert found.names == ("a", "b", "d", "e")
    assert found.get("a").default == 1  # type: ignore[union-attr]  # it is there
    assert found.get("d").default is MISSING  # type: ignore[union-attr]  # it is there


def test_assignments_that_may_not_run_declare_names_with_unknown_defaults() -> None:
    source = "if FAST:\n    steps = 10\nelse:\n    steps = 100\ntry:\n    y: int = 1\nexcept KeyError:\n    z = 2\n"
    found = signature(source)
    assert found.names == ("steps", "y", "z")
    assert all(parameter.default is MISSING and not parameter.required for parameter in found.parameters)


def test_other_statements_declare_nothing() -> None:
    source = (
        "import os\nfrom x import y\nx.y = 1\nx[0] = 2\nx += 1\ndef f():\n    a = 1\nfor i in []:\n    b = 2\nprint(1)"
    )
    assert signature(source).names == ()


@pytest.mark.parametrize(
    "source",
    [
        "%matplotlib inline\nx = 5\n!pip list\n",
        "!echo \\\n  more of it\nx = 5",
        "?print\nx = 5\nprint??",
        "%%time\nx = 5",
        "x = 5\n%load_ext a",
        "if True:\n    !ls\nx = 5",
    ],
)
def test_lines_of_ipython_are_passed_over(source: str) -> None:
    found = signature(source)
    assert found.complete
    assert found.names == ("x",)


@pytest.mark.parametrize(
    "source", ["%%bash\necho hello", "x = (", "print 'two'", "x = 5\n" * 100_000, "\0", "-" * 200_000]
)
def test_a_cell_that_is_not_python_declares_nothing_for_certain(source: str) -> None:
    found = signature(source)
    assert found == Signature(language="python", declared=True, complete=False)


def test_a_notebook_without_the_tag_declares_nothing() -> None:
    assert read_signature(notebook("x = 5", tags=())) == Signature(language="python", declared=False, complete=False)


def test_a_source_of_lines_is_one_source() -> None:
    assert read_signature(notebook(["x = 5\n", "y = 'a'"])).names == ("x", "y")


def test_only_a_code_cell_declares_parameters() -> None:
    found = notebook("x = 5")
    found["cells"][0]["cell_type"] = "markdown"
    assert not read_signature(found).declared


@pytest.mark.parametrize(
    ("metadata", "kernel", "language", "spoken"),
    [
        ({}, None, None, "python"),
        ({"kernelspec": {"name": "ir", "language": "R"}}, None, None, "R"),
        ({"kernelspec": {"name": "my-env"}, "language_info": {"name": "julia"}}, None, None, "julia"),
        ({"kernelspec": {"name": "my-env", "language": "scala"}}, None, None, "scala"),
        ({"kernelspec": {"name": "pysparkkernel"}, "language_info": {"name": "pyspark"}}, None, None, "python"),
        ({"kernelspec": {"name": ".net-csharp"}, "language_info": {"name": "C#"}}, None, None, "csharp"),
        ({"kernelspec": {"name": "python3"}}, "bash", None, "bash"),
        ({"kernelspec": {"name": "julia-1.10"}}, None, None, "julia"),
        ({"kernelspec": {"name": "python3"}}, "bash", "R", "R"),
        ({"kernelspec": {"name": "x"}, "language_info": {"name": "ocaml"}}, None, None, "ocaml"),
        ({"kernelspec": "broken", "language_info": 5}, None, None, "python"),
    ],
)
def test_the_language(metadata: dict[str, Any], kernel: str | None, language: str | None, spoken: str) -> None:
    assert read_signature(notebook("", **metadata), kernel=kernel, language=language).language == spoken


@pytest.mark.parametrize("language", ["R", "bash", "julia", "ocaml"])
def test_a_language_that_papermill_cannot_inspect_declares_nothing_for_certain(language: str) -> None:
    assert read_signature(notebook("x = 5"), language=language) == Signature(language=language, declared=True)


PIECES = [
    "x",
    "y",
    " = ",
    "=",
    ": int",
    "1",
    "'",
    '"""',
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "\n",
    "\n  ",
    "# c",
    "# type: ",
    "|",
]
PIECES += [
    "%",
    "%%time",
    "!",
    "?",
    "\\",
    "if x:",
    "None",
    ",",
    "*",
    "f'",
    "Path(",
    "lambda",
    "é",
    "\t",
    "\r",
    "\f",
    "\0",
    "\ud800",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=80))
@settings(max_examples=3 * settings().max_examples)
def test_any_cell_is_read(source: str) -> None:
    found = signature(source)
    assert found.declared
    assert all(parameter.name.isidentifier() for parameter in found.parameters)
    jsonschema.Draft202012Validator.check_schema(signature_schema(found))


json_like = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cells", "metadata", "tags", "source", "cell_type", "kernelspec"]), inner, max_size=4
        )
    ),
)


@given(st.fixed_dictionaries({}, optional={"cells": json_like, "metadata": json_like}))
def test_a_notebook_of_any_shape_is_read(broken: dict[str, Any]) -> None:
    assert not read_signature(broken).parameters


def test_a_huge_cell_is_read_in_little_time() -> None:
    assert len(signature("".join(f"name{n} = {n}  # help\n" for n in range(9000))).parameters) == 9000


@pytest.mark.fault(36)
@pytest.mark.parametrize(
    "text",
    [
        "# x\n",
        "a = 1  # type: list[int] x\n",
        "é=1;",
        *(pytest.param(text, marks=pytest.mark.slow) for text in ("a=1;", "a = b = c = 1;")),
    ],
)
def test_a_long_cell_costs_by_its_length(text: str) -> None:
    """A line was encoded once for each value in it: these took minutes."""
    started = time.monotonic()
    signature(text * (2**16 // len(text)))
    assert time.monotonic() - started < 30
