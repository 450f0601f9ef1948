"""What docs/storage.md says of stores is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nbstep_runner.errors import StorageUnavailableError
from nbstep_runner.stores import describe

PAGE = (Path(__file__).parents[3] / "docs/storage.md").read_text()


def test_the_table_names_every_scheme_and_its_extra() -> None:
    rows = re.findall(r"^\| (.+?) \| (.*?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    documented = {
        scheme: (re.findall(r"nbstep\[(\w+)\]", extra), replaced, conditions)
        for schemes, extra, replaced, conditions in rows
        for scheme in re.findall(r"`(\w+)://`", schemes)
    }
    ours = {info.scheme: info for info in describe() if info.scheme in documented}
    assert documented.keys() == ours.keys()
    for scheme, (extra, replaced, conditions) in documented.items():
        assert extra == ([ours[scheme].extra] if ours[scheme].extra else [])
        assert (ours[scheme].atomic_replace is None) == ("found out" in replaced)
        assert (ours[scheme].atomic_replace is True) == replaced.startswith("yes")
        assert (ours[scheme].conditional_write is None) == ("found out" in conditions)
        assert (ours[scheme].conditional_write is True) == conditions.startswith("yes")


def test_the_example_runs() -> None:
    code = PAGE.rpartition("```python\n")[2].partition("```")[0]
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - the page's own example
    store = names["store"]
    with pytest.raises(StorageUnavailableError, match="lost"):
        store.write("memory://documented/a", b"x")  # type: ignore[attr-defined]  # made by the example
