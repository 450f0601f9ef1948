"""Whatever a kernel sends, the notebook that comes of it is valid, and nothing is raised."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.contract import Event, OutputLimits, RunState
from nbstep_runner.engine import metadata
from nbstep_runner.engine.document import Document
from nbstep_runner.engine.messages import Raised, exit_asked, language_info_of, outputs_of
from nbstep_runner.engine.outputs import OutputBudget
from nbstep_runner.engine.recorder import Recorder
from nbstep_runner.engine.verdict import failure
from nbstep_runner.errors import ExitCode
from nbstep_runner.kernel.kernel_json import decode
from nbstep_runner.kernel.wire import Message
from nbstep_runner.masking import Masker
from support.notebooks import notebook

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
MIMES = (
    "text/plain",
    "text/html",
    "image/png",
    "application/json",
    "application/x+json",
    "text/json",
    "application/a\nb+json",
    "",
)
BUNDLES = st.dictionaries(st.sampled_from(MIMES) | st.text(max_size=8), JSON, max_size=4)
OUTPUT_TYPES = ("stream", "display_data", "execute_result", "error")
OUTPUTS = st.fixed_dictionaries(
    {},
    optional={
        "output_type": st.sampled_from(OUTPUT_TYPES) | JSON,
        **dict.fromkeys(("name", "text", "metadata", "execution_count", "ename", "evalue", "traceback"), JSON),
        "data": BUNDLES | JSON,
    },
)
WIDGET_STATE = st.fixed_dictionaries(
    {},
    optional={
        "_model_module": st.just("@jupyter-widgets/output") | JSON,
        "_model_name": st.just("OutputModel") | JSON,
        "msg_id": st.sampled_from(["r0", ""]) | JSON,
        "outputs": st.lists(OUTPUTS, max_size=3) | JSON,
    },
)
CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("name", "text", "metadata", "execution_count", "ename", "evalue", "traceback", "wait"), JSON),
        "data": BUNDLES | st.fixed_dictionaries({"state": WIDGET_STATE | JSON}) | JSON,
        "transient": st.fixed_dictionaries({"display_id": st.sampled_from(["d", 1]) | JSON}) | JSON,
        "execution_state": st.sampled_from(["busy", "idle"]) | JSON,
        "comm_id": st.sampled_from(["c", "d"]) | JSON,
        "target_name": st.just("jupyter.widget") | JSON,
    },
)
KINDS = (
    *OUTPUT_TYPES,
    *("update_display_data", "clear_output", "execute_input", "status"),
    *("comm_open", "comm_msg", "comm_close", "debug_event", "iopub_welcome", ""),
)
PARENTS = ("r0", "r1", "")
SILENCE = Message("status", "", {})


@st.composite
def kernels_words(draw: st.DrawFn) -> list[Message]:
    """Messages with contents as they come off the wire."""
    drawn = draw(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(PARENTS), CONTENTS), max_size=12))
    return [Message(kind, parent, decode(json.dumps(content).encode())) for kind, parent, content in drawn]


def recorded(messages: list[Message], folder: Path) -> dict[str, Any]:
    """The notebook of two cells, the first of which has ended, once these messages have come."""
    plain = notebook(["pass"] * 2)
    metadata.begin_notebook(plain)
    document = Document(plain, folder)
    told: list[Event] = []
    recorder = Recorder(document, OutputBudget(OutputLimits(), "the log"), Masker(["secret"]), told.append)
    recorder.begin(0, "r0")
    for message in messages[::2]:
        recorder.handle(message)
    recorder.end(0)
    recorder.begin(1, "r1")
    for message in messages[1::2]:
        recorder.handle(message)
    recorder.settle()
    json.dumps(recorder.widget_news())
    recorder.end(1)
    recorder.finish()
    executed: dict[str, Any] = json.loads(b"".join(document.snapshot().chunks()))
    document.close()
    return executed


@pytest.mark.fault(48)
@given(kernels_words())
def test_whatever_a_kernel_says_the_notebook_is_valid(messages: list[Message]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        nbformat.validate(recorded(messages, Path(folder)))


@given(st.lists(OUTPUTS, max_size=3) | JSON)
def test_outputs_in_a_widgets_state_are_outputs(value: Any) -> None:
    cell = notebook(["pass"])
    cell["cells"][0]["outputs"] = outputs_of(decode(json.dumps(value).encode()))
    nbformat.validate(json.loads(json.dumps(cell)))


@given(st.fixed_dictionaries({}, optional={"language_info": st.dictionaries(st.text(max_size=4), JSON) | JSON}))
def test_a_kernels_own_description_never_breaks_the_notebook(info: dict[str, Any]) -> None:
    plain = notebook(["pass"])
    if told := language_info_of(info):
        plain["metadata"]["language_info"] = told
    nbformat.validate(json.loads(json.dumps(plain)))


@given(st.dictionaries(st.sampled_from(["status", "ename", "evalue", "traceback", "payload"]), JSON))
def test_whatever_a_reply_holds_it_is_an_error_in_words(reply: dict[str, Any]) -> None:
    raised = Raised.of(reply)
    exit_asked(reply)
    verdict = failure(0, notebook(["pass"])["cells"][0], raised, "")
    assert (verdict.exit_code, verdict.state) == (ExitCode.CELL_FAILED, RunState.FAILED)
    assert verdict.error is not None
    assert "\n" not in verdict.error.message


@pytest.mark.parametrize(
    ("name", "value", "complaint", "message"),
    [
        ("ValueError", "no\nmore", "", "cell 0 raised ValueError: no"),
        ("ValueError", "", "", "cell 0 raised ValueError"),
        ("", "1", "ls: cannot access 'x'", "cell 0 failed with status 1: ls: cannot access 'x'"),
        ("", "2", "", "cell 0 failed with status 2"),
        ("", "\x1b[31mno such table\x1b[0m", "noise", "cell 0 failed: no such table"),
        ("", "", "error: boom", "cell 0 failed: error: boom"),
        ("", "", "", "cell 0 failed, and its kernel does not say why"),
    ],
)
def test_an_error_that_lacks_a_name_or_a_message_is_told_as_it_is(
    name: str, value: str, complaint: str, message: str
) -> None:
    verdict = failure(0, notebook(["pass"])["cells"][0], Raised(name, value), complaint)
    assert verdict.error is not None
    assert verdict.error.message == message


def test_a_display_that_took_the_place_of_a_cleared_one_is_not_updated_for_it(tmp_path: Path) -> None:
    def display(text: str, identity: Any = None) -> Message:
        transient = {} if identity is None else {"display_id": identity}
        return Message("display_data", "r0", {"data": {"text/plain": text}, "metadata": {}, "transient": transient})

    update = Message("update_display_data", "r0", {"data": {"text/plain": "no"}, "transient": {"display_id": ["d"]}})
    words = [display("first", ["d"]), Message("clear_output", "r0", {}), display("second"), update]
    executed = recorded([each for word in words for each in (word, SILENCE)], tmp_path)
    assert [output["data"]["text/plain"] for output in executed["cells"][0]["outputs"]] == [["second"]]
