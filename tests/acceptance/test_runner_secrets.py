"""A secret is masked as it is written, with whatever colours, tags and escapes, in all that a run leaves."""

from __future__ import annotations

import html
import re

import pytest

from nbstep_runner.masking import MASK
from support.notebooks import Code
from support.runs import Done, run

pytestmark = pytest.mark.slow

SECRET = "5up3r-<53>&cret_9f1c"  # noqa: S105 - what must not be readable afterwards
SHOWN = """
import html, json, logging, sys
from IPython.display import HTML, Markdown, display
import rich
rich.print('key', key)
print(key[:5] + '\\x1b[1m' + key[5:] + '\\x1b[0m')
for character in key:
    print(f'\\x1b[3{ord(character) % 8}m{character}', end='', flush=True)
print('\\x1b[0m')
logging.warning('using %s', key)
display(HTML(html.escape(key)), Markdown(key.replace('_', '\\\\_')))
markup = f'<b>{html.escape(key[:7])}</b>{html.escape(key[7:])}'
display({'application/json': {key: [key]}, 'text/html': markup}, raw=True)
"""
FRAME = "import pandas\npandas.DataFrame({'key': [key]})"
WIDGET = "import ipywidgets\nipywidgets.HTML(html.escape(key))"
RESULT = "from nbstep_runner import result\nresult('key', {'key': key})"
RAISED = "raise ValueError(key[:9] + '\\x1b[1m' + key[9:])"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "p.yaml").write_text("key: {secret: 'env:A_SECRET'}")
    cells = [Code("key = ''", tags=("parameters",)), SHOWN, FRAME, WIDGET, RESULT, RAISED]
    return run(folder, cells, "-f", str(folder / "p.yaml"), "--html", env={"A_SECRET": SECRET})


def read(text: str) -> str:
    """A text as somebody reads it: JSON's escapes undone, no control sequences, no tags, entities resolved."""
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text).replace('\\"', '"')
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\\\\_", "_").replace("\\_", "_")
    return html.unescape(re.sub(r"</?[a-zA-Z][^<>]*>", "", text))


@pytest.mark.fault(49)
@pytest.mark.parametrize("ending", [".ipynb", ".log.jsonl", ".result.json", ".html", "stdout"])
def test_it_is_in_nothing_that_a_run_leaves(done: Done, ending: str) -> None:
    text = done.stdout if ending == "stdout" else done.place.with_suffix(ending).read_text()
    assert (done.code, done.states) == (10, [*["succeeded"] * 6, "failed"])
    for shown in (text, read(text), read(read(text))):
        assert SECRET not in shown
        assert "53>&cret" not in shown
    assert MASK in text


def test_what_is_around_it_is_kept(done: Done) -> None:
    assert done.record["results"] == {"key": {"key": MASK}}
    assert done.error["message"] == f"cell 6 raised ValueError: {MASK}"
    assert f"WARNING:root:using {MASK}" in done.text(2, "stderr")
