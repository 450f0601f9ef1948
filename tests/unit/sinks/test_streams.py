"""Files for what a notebook prints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbstep_runner.contract import Event, Notice, StreamText
from nbstep_runner.errors import UsageError
from nbstep_runner.sinks.fanout import FanOut
from nbstep_runner.sinks.streams import StreamFile, stream_files


class Listener:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Event] = []

    def handle(self, event: Event) -> None:
        """Keep it."""
        self.heard.append(event)

    def close(self, timeout: float) -> None:
        """Nothing is held."""


def text(stream: str, words: str) -> StreamText:
    return StreamText(0, "a", stream, words)


def test_each_stream_has_its_own_file_at_once(tmp_path: Path) -> None:
    sinks = FanOut(stream_files(str(tmp_path / "out"), str(tmp_path / "err")))
    sinks.handle(text("stdout", "to out\ud800\n"))
    sinks.handle(text("stderr", "to err"))
    assert (tmp_path / "out").read_text() == "to out\\ud800\n"
    assert (tmp_path / "err").read_text() == "to err"
    sinks.close(1.0)


@pytest.mark.parametrize("name", ["all", "./all", "link", "hard"])
def test_one_file_takes_both_streams_in_order(tmp_path: Path, name: str) -> None:
    (tmp_path / "all").write_text("of an earlier run, and longer than what comes\n")
    (tmp_path / "link").symlink_to("all")
    (tmp_path / "hard").hardlink_to(tmp_path / "all")
    sinks = FanOut(stream_files(str(tmp_path / "all"), str(tmp_path / name)))
    for stream, words in (("stdout", "one\n"), ("stderr", "two\n"), ("stdout", "three\n")):
        sinks.handle(text(stream, words))
    assert (tmp_path / "all").read_text() == "one\ntwo\nthree\n"
    sinks.close(1.0)


def test_a_file_that_takes_no_more_is_told_of_and_ends_nothing() -> None:
    listener = Listener()
    sinks = FanOut([StreamFile("stdout", "/dev/full"), listener])
    for words in ("one", "two"):
        sinks.handle(text("stdout", words))
    sinks.close(1.0)
    told = [event.message for event in listener.heard if isinstance(event, Notice)]
    assert told == ["StreamFile failed (OSError) and takes no more events; the run goes on"]
    assert [event.text for event in listener.heard if isinstance(event, StreamText)] == ["one", "two"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        stream_files(None, str(tmp_path / "nowhere" / "err"))


def test_a_pipe_that_nobody_reads_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe cannot be written"):
        stream_files(str(tmp_path / "pipe"), None)
