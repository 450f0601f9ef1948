"""Messages as they cross a socket: ours are signed, theirs are checked, and nothing that a kernel writes is lost."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbstep_runner.kernel import kernel_json, large_text
from nbstep_runner.kernel.wire import Message, Wire

KEY = "a key"


class Pair:
    """The kernel's end and the runner's end of a socket."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self.kernel, self.runner = self.context.socket(zmq.PAIR), self.context.socket(zmq.PAIR)
        self.kernel.bind("inproc://wire")
        self.runner.connect("inproc://wire")
        self.wire = Wire(KEY)

    def send(self, *parts: bytes, key: str = KEY, buffers: tuple[bytes, ...] = ()) -> None:
        signature = hmac.new(key.encode(), b"".join(parts), hashlib.sha256).hexdigest().encode()
        self.kernel.send_multipart([b"topic", b"<IDS|MSG>", signature, *parts, *buffers])

    def say(self, content: bytes, kind: str = "stream", **how: Any) -> None:
        self.send(json.dumps({"msg_type": kind}).encode(), b'{"msg_id": "p"}', b"{}", content, **how)

    def receive(self) -> Message | None:
        assert self.runner.poll(2000)
        return self.wire.receive(self.runner)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.context.destroy(linger=0)


def test_a_request_is_signed_and_well_formed(pair: Pair) -> None:
    msg_id, (delimiter, signature, *parts) = pair.wire.request("execute_request", {"code": "1"}, {"cellId": "c"})
    assert delimiter == b"<IDS|MSG>"
    assert signature.decode() == hmac.new(KEY.encode(), b"".join(parts), hashlib.sha256).hexdigest()
    header, parent, metadata, content = map(json.loads, parts)
    assert (header["msg_id"], header["msg_type"], header["version"]) == (msg_id, "execute_request", "5.4")
    assert (parent, metadata, content) == ({}, {"cellId": "c"}, {"code": "1"})
    assert pair.wire.request("x", {}, {})[0] != msg_id


def test_a_message_with_its_buffers(pair: Pair) -> None:
    pair.say(b'{"name": "stdout", "text": "hi"}', buffers=(b"raw", b""))
    message = pair.receive()
    assert message is not None
    assert (message.type, message.parent_id, message.buffers) == ("stream", "p", (b"raw", b""))
    assert list(message.texts()) == ["hi"]


def test_a_forged_message_is_passed_over(pair: Pair) -> None:
    pair.say(b"{}", key="not the key")
    assert pair.receive() is None
    pair.kernel.send_multipart([b"no", b"delimiter", b"at all"])
    assert pair.receive() is None
    pair.say(b'{"name": "stdout", "text": "still here"}')
    message = pair.receive()
    assert message is not None
    assert message.content["text"] == "still here"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"v": NaN}', "nan"),
        (b'{"v": [Infinity, -Infinity]}', "[inf, -inf]"),
        (b'{"v": "\\ud83d"}', "'\ufffd'"),
        (b'{"v": "\\ud83d\\ude00"}', "'😀'"),
        (b'{"v": "broken \xff byte"}', "'broken \ufffd byte'"),
        (b'{"\\ude00": 1, "v": {"\\ud800": ["\\udc00"]}}', "{'\ufffd': ['\ufffd']}"),
    ],
)
def test_what_is_not_strict_json_is_kept(pair: Pair, content: bytes, expected: str) -> None:
    pair.say(content, kind="display_data")
    message = pair.receive()
    assert message is not None
    assert repr(message.content["v"]) == expected
    json.dumps(message.content).encode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=300) | st.text(st.sampled_from('\\"\n\u2028😀é\x00\ud83d'), max_size=300),
    ascii_only=st.booleans(),
    piece=st.integers(13, 60),
)
def test_large_text_comes_in_pieces_that_make_the_whole(pair: Pair, text: str, ascii_only: bool, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_text, "LARGE", 1)
        patch.setattr(large_text, "PIECE", piece)
        data = json.dumps({"name": "stdout", "text": text}, ensure_ascii=ascii_only)
        pair.say(data.encode("utf-8", "surrogatepass"))
        message = pair.receive()
        assert message is not None
        whole = "".join(message.texts())
    expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if not any(0xD800 <= ord(character) < 0xE000 for character in text):
        assert whole == text
    elif ascii_only:
        assert whole == expected
    assert message.content["name"] == "stdout"


@pytest.mark.parametrize("character", ["\0", "\n", "é", "😀"])
def test_large_text_of_escapes_is_decoded_once(monkeypatch: pytest.MonkeyPatch, character: str) -> None:
    tried: list[bytes] = []
    strictly = kernel_json.decode_strictly

    def noted(data: bytes) -> Any:
        tried.append(data)
        return strictly(data)

    monkeypatch.setattr(kernel_json, "decode_strictly", noted)
    content = json.dumps({"name": "stdout", "text": character * (large_text.LARGE // 2)}).encode()
    large = large_text.LargeText.of(memoryview(content))
    assert large is not None
    pieces = list(large.pieces())
    assert "".join(pieces) == character * (large_text.LARGE // 2)
    assert len(tried) - len(pieces) <= 1  # the name is decoded besides


@pytest.mark.parametrize(
    ("header", "parent", "metadata", "expected"),
    [
        (b'{"msg_type": "a", "date": "d", "more": [1]}', b'{"msg_id": "p"}', b'{"m": 1}', ("a", "d", "p", {"m": 1})),
        (b'{"msg_type": "a", "date": 5}', b'{"msg_id": 7}', b" {} ", ("a", "", "", {})),
        (b'{"msg_type": "a", "x": NaN}', b'{"msg_id": "p", "x": "\\ud83d"}', b"{}", ("a", "", "p", {})),
        (b'{"msg_type": "a", "date": "\xff"}', b'{"msg_id": "p\xff"}', b"[1]", ("a", "\ufffd", "p\ufffd", {})),
        (b'{"msg_type": "a"}', b"null", b"no JSON", ("a", "", "", {})),
        (b'{"msg_type": "a"}', b"[" * 100_000, b"{}", ("a", "", "", {})),
    ],
    ids=["plain", "other types", "not strict", "not UTF-8", "no objects", "too deep"],
)
def test_heads_are_read_as_far_as_they_can_be(
    pair: Pair, header: bytes, parent: bytes, metadata: bytes, expected: tuple[Any, ...]
) -> None:
    for _ in range(2):  # a parent that was read already is the same
        pair.send(header, parent, metadata, b"{}")
        message = pair.receive()
        assert message is not None
        assert (message.type, message.date, message.parent_id, message.metadata) == expected


@pytest.mark.parametrize("header", [b"{}", b'{"msg_type": 1}', b"[]", b"no JSON"])
def test_a_message_of_no_type_is_passed_over(pair: Pair, header: bytes) -> None:
    pair.send(header, b"{}", b"{}", b"{}")
    assert pair.receive() is None
