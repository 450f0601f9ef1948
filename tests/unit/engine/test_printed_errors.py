"""Errors that kernels only print are found where they end a cell, and nowhere else."""

from __future__ import annotations

import pytest

from nbstep_runner.engine.printed_errors import complaint_in, printed_error, status_of_exit

CALLED_FROM = "x = 2\r\nerror: boom: no such station\r\nerror: called from\r\n    f at line 2 column 2\r\n"
PARSE_ERROR = "error: parse error:\r\n\r\n  invalid use of =\r\n\r\n>>> x = 3 = = 4\r\n          ^\r\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (CALLED_FROM, "boom: no such station"),
        (PARSE_ERROR, "parse error: invalid use of ="),
        ("error: 'x' undefined", "'x' undefined"),
        ("\x1b[31merror: red\x1b[0m\n", "red"),
    ],
)
def test_octave_prints_its_errors(text: str, value: str) -> None:
    raised = printed_error("Octave", "", text)
    assert raised is not None
    assert (raised.name, raised.value) == ("", value)
    assert raised.traceback[0].startswith("error: ")


@pytest.mark.parametrize("text", ["error: said\non it goes\n", "no error: here\n", "", "an error\n", "x = error\n"])
def test_what_only_mentions_an_error_is_none(text: str) -> None:
    assert printed_error("octave", "", text) is None


def test_other_languages_tell_their_errors() -> None:
    assert printed_error("python", "", "error: said\n") is None


NO_RUBY = "Couldn't find program: 'ruby'\n"


@pytest.mark.fault(47)
@pytest.mark.parametrize(
    ("source", "text", "failed"),
    [
        ("%%ruby\nputs 1", NO_RUBY, True),
        ("\n%%script --out x ruby\nputs 1", NO_RUBY, True),
        ("%%script --no-raise-error ruby\nputs 1", NO_RUBY, False),
        (f"print({NO_RUBY!r})", NO_RUBY, False),
        ("%%time\ntried()", "tried\n" + NO_RUBY, False),
    ],
)
def test_a_cell_whose_program_is_missing_has_failed(source: str, text: str, failed: bool) -> None:
    raised = printed_error("python", source, text)
    assert (raised is not None) is failed
    assert raised is None or raised.value == "Couldn't find program: 'ruby'"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("/in.ts:1\nthrow new Error('no');\n^\n\nTypeError: no\n    at f (x.js:1)\n    at g\n", "TypeError: no"),
        ("first\n  second\n", "first"),
        ("  only\n", "only"),
        ("\x1b[31mls: cannot access\x1b[0m\n", "ls: cannot access"),
        ("", ""),
    ],
)
def test_of_what_was_printed_the_line_that_says_most_is_told(text: str, line: str) -> None:
    assert complaint_in(text) == line


@pytest.mark.fault(7)
@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("quit(status = 3)", "3"),
        ("if (bad)\n  q('no', 1L)", "1"),
        ("quit('no', status=2, runLast=FALSE)", "2"),
        ("quit(save='no')", ""),
        ("q()", ""),
        ("q('no', 0)", "0"),
        ("quit(status = code)", ""),
        ("# quit(status = 1)\nquit(status = 3)", "3"),
        ("if (bad) quit(status = 2) else quit(status = 0)", ""),
        ("\n" * 200_000 + "quit(status = 3)", "3"),
        ("if (bad) q('no', 1) else q('no', 0)", ""),
        ("seq(1, 3)", ""),
    ],
)
def test_the_status_that_r_does_not_pass_on_is_the_one_that_its_cell_names(source: str, status: str) -> None:
    assert status_of_exit("R", source) == status
    assert status_of_exit("python", source) == ""
