"""What is promised has to be there; what is not is skipped, whoever runs the tests."""

from __future__ import annotations

import pytest

from support.needs import VARIABLE, missing, required


@pytest.mark.parametrize(
    ("promised", "needed"),
    [
        ("", False),
        ("nginx", True),
        ("kubernetes, nginx", True),
        ("kubernetes", False),
        ("all", True),
        ("all,-kubernetes", True),
        ("all,-nginx", False),
        ("nginx2", False),
    ],
)
def test_a_promise_is_kept_by_name(promised: str, needed: bool) -> None:
    assert required("nginx", promised) is needed


def test_ci_alone_promises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no nginx here"):
        missing("nginx", "no nginx here")
    monkeypatch.setenv(VARIABLE, "nginx")
    with pytest.raises(pytest.fail.Exception, match="no nginx here"):
        missing("nginx", "no nginx here")
