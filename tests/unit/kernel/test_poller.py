from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from nbstep_runner.kernel.open_files import OpenFiles
from nbstep_runner.kernel.poller import Poller

Sockets = tuple[zmq.Socket[bytes], zmq.Socket[bytes]]


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    with zmq.Context() as context, context.socket(zmq.DEALER) as one, context.socket(zmq.DEALER) as other:
        one.bind("inproc://poller")
        other.connect("inproc://poller")
        yield one, other


@pytest.fixture
def poller() -> Iterator[Poller]:
    poller = Poller(OpenFiles())
    yield poller
    poller.close()


def test_a_socket_stays_ready_until_its_messages_are_taken(sockets: Sockets, poller: Poller) -> None:
    one, other = sockets
    poller.register(one)
    assert poller.poll(0) == set()
    for number in range(3):
        other.send(b"%d" % number)
    for number in range(3):
        assert poller.poll(5) == {one}
        assert one.recv(zmq.NOBLOCK) == b"%d" % number
    assert poller.poll(0) == set()


def test_descriptors_and_what_has_one_are_ready_beside_sockets(sockets: Sockets, poller: Poller) -> None:
    class HasOne:
        def __init__(self, descriptor: int) -> None:
            self.fileno: Any = lambda: descriptor

    one, other = sockets
    reading, writing = os.pipe()
    more_reading, more_writing = os.pipe()
    holder = HasOne(more_reading)
    for source in (one, reading, holder):
        poller.register(source)
    for descriptor in (writing, more_writing):
        os.write(descriptor, b"x")
    other.send(b"x")
    assert poller.poll(5) == {one, reading, holder}
    poller.unregister(reading)
    assert poller.poll(5) == {one, holder}
    for descriptor in (reading, writing, more_reading, more_writing):
        os.close(descriptor)


def test_any_number_of_seconds_is_waited(poller: Poller) -> None:
    reading, writing = os.pipe()
    poller.register(reading)
    os.write(writing, b"x")
    assert poller.poll(1e9) == {reading}
    for descriptor in (reading, writing):
        os.close(descriptor)


@pytest.mark.fault(53)
def test_a_limit_that_was_lowered_meanwhile_is_as_before(sockets: Sockets, poller: Poller) -> None:
    one, other = sockets
    poller.register(one)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    other.send(b"x")
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert poller.poll(5) == {one}
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


LOWERED_FOR_GOOD = """
import resource
from nbstep_runner.kernel.open_files import OpenFiles

before, low = resource.getrlimit(resource.RLIMIT_NOFILE), (64, 64)
kept, back = OpenFiles(), before
resource.setrlimit(resource.RLIMIT_NOFILE, low)
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    resource.setrlimit(resource.RLIMIT_NOFILE, low)
except ValueError:
    back = low
kept.keep()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == back
"""


@pytest.mark.fault(53)
def test_a_hard_limit_that_was_lowered_is_as_before_where_that_is_allowed() -> None:
    subprocess.run([sys.executable, "-c", LOWERED_FOR_GOOD], check=True)
