from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nbstep_runner import errors
from nbstep_runner.errors import BadInputError, ExitCode, NbstepError, Retry, StorageDeniedError

RESERVED = {1, 64, 126, 127, 128, 137, 138, 139}
"""Python's own, Argo's, the shell's, and those of signals that no run survives."""


def classes(base: type[NbstepError]) -> Iterator[type[NbstepError]]:
    yield base
    for derived in base.__subclasses__():
        if derived.__module__ == errors.__name__:
            yield from classes(derived)


ALL = list(classes(NbstepError))


@pytest.mark.parametrize("kind", ALL)
def test_each_error_says_what_to_do(kind: type[NbstepError]) -> None:
    error = kind("something is wrong")
    assert error.message == "something is wrong"
    assert str(error) == f"something is wrong\n{error.hint}"
    assert error.hint.endswith(".")
    assert kind("x", hint="Do this.").hint == "Do this."
    assert kind.exit_code is not ExitCode.SUCCEEDED


def test_codes_are_not_shared_and_not_taken_by_others() -> None:
    own = {kind.exit_code: kind.reference for kind in ALL if kind is not NbstepError}
    assert len(own) == len({kind.reference for kind in ALL})
    assert set(own) == set(ExitCode) - {ExitCode.SUCCEEDED}
    assert not RESERVED & set(map(int, ExitCode))
    assert all(0 <= code < 256 for code in ExitCode)


def test_what_a_retry_can_mend() -> None:
    assert {kind.reference: kind.retry for kind in ALL if kind.retry is not Retry.NEVER} == {
        "internal": Retry.ONCE,
        "kernel-died": Retry.ONCE,
        "storage-unavailable": Retry.ALWAYS,
        "terminated": Retry.ALWAYS,
    }


def test_an_error_is_pessimistic_until_proven_otherwise() -> None:
    assert NbstepError("x").exit_code is ExitCode.INTERNAL


def test_an_error_says_what_to_do_wherever_it_is_printed() -> None:
    assert str(StorageDeniedError("no", hint="ask")) == "no\nask"
    assert str(StorageDeniedError("no")) == f"no\n{StorageDeniedError.default_hint}"


def test_a_notebook_shows_the_callers_lines_and_none_of_ours() -> None:
    caller: dict[str, Any] = {"__name__": "__main__", "BadInputError": BadInputError}
    exec("def call(function):\n    return function()", caller)  # noqa: S102 - frames that are the caller's
    ours: dict[str, Any] = {"__name__": "nbstep.api", "BadInputError": BadInputError}
    exec("def fail():\n    raise BadInputError('it is wrong', hint='Mend it.')", ours)  # noqa: S102 - frames of ours
    with pytest.raises(BadInputError) as raised:
        caller["call"](ours["fail"])
    raised.value.add_note("ValueError in the notebook")
    shown = raised.value._render_traceback_()
    assert shown[-3:] == ["ValueError in the notebook", "BadInputError: it is wrong", "Mend it."]
    assert any("in call" in line for line in shown)
    assert not any("in fail" in line for line in shown)
