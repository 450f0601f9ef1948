"""Which files a pattern takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.contract import Pattern
from nbstep_runner.errors import BadInputError

NAMES = st.text("ab.*?[]-_ é", min_size=1, max_size=4).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("*.csv", ["a.csv", "b c.csv"], ["a.txt", "in/a.csv", ".hidden.csv", "a.CSV"]),
        ("model/", ["model", "model/a", "model/in/.hidden"], ["models/a", "in/model/a"]),
        ("model", ["model", "model/a"], ["model.bin"]),
        ("./plots/*.png", ["plots/a.png"], ["plots/in/a.png"]),
        ("**/*.png", ["a.png", "in/a.png", "in/deeper/a.png"], ["in/.cache/a.png", "a.csv"]),
        ("plots/**", ["plots/a", "plots/in/a"], ["a"]),
        (".cache/*", [".cache/a", ".cache/in/b"], ["cache/a"]),
        ("run-[0-9]?.log", ["run-1x.log"], ["run-x1.log", "run-1.log"]),
        ("*", ["a", "in/b"], [".a"]),
        ("a/**", ["a/b"], ["a"]),
        ("**/**/b", ["b", "a/b", "a/a/b"], ["a", "a/.a/b"]),
        ("/".join(["**"] * 32), ["a", "/".join("a" * 200), ".a/b"], []),
        ("/".join(["**", "a"] * 16), ["/".join("a" * 200)], ["/".join("a" * 15), "/".join(["a"] * 15 + ["b"] * 200)]),
    ],
)
def test_what_is_taken(pattern: str, taken: list[str], left: list[str]) -> None:
    made = Pattern.of(pattern)
    assert [path for path in taken if not made.takes(path)] == []
    assert [path for path in left if made.takes(path)] == []


@pytest.mark.parametrize(
    "text", ["", "/", "/etc/passwd", "../a", "a/../../b", ".", "a\nb", "a\\b", "\0", "/".join("a" * 40)]
)
def test_what_leaves_the_working_directory_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="files cannot be collected by"):
        Pattern.of(text)


@given(st.lists(NAMES | st.just("**"), min_size=1, max_size=4).map("/".join), PATHS)
def test_every_folder_on_the_way_to_a_taken_file_is_looked_into(pattern: str, path: str) -> None:
    made = Pattern.of(pattern)
    folders = [path[:at] for at, character in enumerate(path) if character == "/"]
    assert not made.takes(path) or all(map(made.leads_into, folders))
