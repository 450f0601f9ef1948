"""How a slim kernel's messages travel: in order, and whole whatever interrupts those who publish them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from nbstep_runner.kernel import specs
from nbstep_runner.kernel.process import KernelProcess, LaunchOptions
from support.kernel_session import Session

INTERRUPTED = """
import random, signal, sys
kernel = get_ipython().kernel
class Tick(BaseException):
    pass
def tick(*_):
    if armed:
        raise Tick
published = []
armed = False
before = signal.signal(signal.SIGALRM, tick)
for number in range(3000):
    content = {{'data': {{'text/html': f'{{number}} '}}, 'metadata': {{}}}}
    message = kernel.session.msg('display_data', content, parent=kernel.get_parent())
    frames = [b'display_data', *kernel.session.serialize(message)]
    try:
        armed = True
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.000002, {longest}))
        {publish}
        published.append(number)
        armed = False
    except Tick:
        armed = False
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, before)
"""
MIXED = """
import sys
from IPython.display import display_html
for number in range(0, {count}, 4):
    print(number)
    display_html(f'{{number + 1}}', raw=True)
    print(number + 2, file=sys.stderr)
    display_html(f'{{number + 3}}', raw=True)
"""
FAST = """
import sys
from IPython.display import display_html
for number in range({count}):
    if number % 50 == 49:
        display_html(f'{{number}} ', raw=True)
    else:
        print(number, end=' ', file=sys.stderr if number % 7 == 0 else sys.stdout)
"""

CROWD = """
import signal, threading, time
kernel = get_ipython().kernel
parent = kernel.get_parent()
def publish(who, number):
    content = {{'data': {{'text/html': f'{{who}}:{{number}} '}}, 'metadata': {{}}}}
    kernel.session.send(kernel.iopub_socket, 'display_data', content, parent=parent, buffers=buffers[number % 3])
buffers = [], [b'a buffer'], [memoryview(b'another')]
handled = iter(range(1_000_000))
def handle(*_):
    publish('handler', next(handled))
    signal.setitimer(signal.ITIMER_REAL, 0.0003 * armed)
def publish_many(who):
    for number in range({count}):
        publish(who, number)
threads = [threading.Thread(target=publish_many, args=[f'thread{{number}}']) for number in range(2)]
signal.signal(signal.SIGALRM, handle)
armed = True
signal.setitimer(signal.ITIMER_REAL, 0.0003)
for thread in threads:
    thread.start()
publish_many('main')
for thread in threads:
    thread.join()
armed = False
signal.signal(signal.SIGALRM, signal.SIG_IGN)  # one may still be on its way
publish('handler', next(handled))
"""
OVERTAKEN = """
import time
kernel = get_ipython().kernel
def frames(text):
    content = {'data': {'text/html': text}, 'metadata': {}}
    message = kernel.session.msg('display_data', content, parent=parent)
    return [b'display_data', *kernel.session.serialize(message)]
parent = kernel.get_parent()
thread = kernel.iopub_thread
first = frames('first ')
thread.schedule(lambda: (time.sleep(0.3), thread._really_send(first)))
time.sleep(0.1)  # it has been begun
kernel.iopub_socket.send_multipart(frames('second '))
"""
FORKS = """
import os, sys, threading, warnings
warnings.simplefilter('ignore', DeprecationWarning)  # of forks beside threads, since Python 3.12
kernel = get_ipython().kernel
message = kernel.session.msg('debug', {{}}, parent=kernel.get_parent())
frames = [b'debug', *kernel.session.serialize(message)]
ended = threading.Event()
def publish():
    while not ended.is_set():
        kernel.iopub_socket.send_multipart(frames)
thread = threading.Thread(target=publish)
thread.start()
for number in range({count}):
    if (pid := os.fork()) == 0:
        sys.stdout.write(f'{{number}} ')
        os._exit(0)
    os.waitpid(pid, 0)
ended.set()
thread.join()
"""
SUBSCRIBED = """
import zmq
from ipykernel import get_connection_info
about = get_connection_info(unpack=True)
address = f"{about['transport']}://{about['ip']}-{about['iopub_port']}"
context = zmq.Context()
subscriber = context.socket(zmq.SUB)
subscriber.subscribe(b'kernel.')  # one that none had before: ZMQ tells of no others
subscriber.connect(address)
deadline, seen = time.monotonic() + 30, []
while not seen and time.monotonic() < deadline:
    kernel._publish_status('busy', 'shell')
    while subscriber.poll(100):
        seen += [part for part in subscriber.recv_multipart() if b'iopub_welcome' in part]
context.destroy(linger=0)
print(bool(seen))
"""
WOKEN = """
class Woken:
    def __init__(self, pipe):
        self.pipe, self.times = pipe, 0
    def send(self, message):
        self.times += 1
        self.pipe.send(message)
thread = get_ipython().kernel.iopub_thread
thread._local.event_pipe = woken = Woken(thread._event_pipe)
seen = []
"""
"""Counts how often the main thread wakes the thread that sends."""


@pytest.fixture(scope="module")
def slim() -> Iterator[Session]:
    made = Session(KernelProcess(specs.find("python3"), LaunchOptions(stock=False, token=secrets.token_hex(16))))
    yield made
    made.close()


def test_what_is_printed_and_shown_keeps_its_order(slim: Session) -> None:
    count = 400
    texts = "".join(text.strip() + " " for text in slim.texts(slim.send(MIXED.format(count=count))))
    assert texts.split() == [str(number) for number in range(count)]


def test_what_a_fast_loop_prints_and_shows_keeps_its_order(slim: Session) -> None:
    count = 10_000
    texts = "".join(slim.texts(slim.send(FAST.format(count=count))))
    assert texts.split() == [str(number) for number in range(count)]


@pytest.mark.parametrize(
    ("publish", "longest"),
    [
        ("kernel.iopub_socket.send_multipart(frames)", 0.00008),
        ("sys.stdout.write(f'{number} '), sys.stdout.flush()", 0.0006),
    ],
    ids=["shown", "printed"],
)
def test_no_message_is_lost_or_overtaken_where_a_signals_handler_raises(
    slim: Session, publish: str, longest: float
) -> None:
    asked = slim.send(INTERRUPTED.format(publish=publish, longest=longest))
    came = [int(number) for number in "".join(slim.texts(asked)).split()]
    published = [int(number) for number in slim.run("print(*published)").split()]
    assert set(published) <= set(came)
    assert came == sorted(set(came))
    assert "True" in slim.run("print(kernel.iopub_thread.thread.is_alive())")


def test_messages_of_all_who_publish_at_once_come_whole_and_in_their_order(slim: Session) -> None:
    count = 1500
    asked = slim.send(CROWD.format(count=count))
    time.sleep(0.3)  # ZMQ has no room for more, meanwhile
    came: dict[str, list[int]] = {}
    for each in "".join(slim.texts(asked)).split():
        who, number = each.split(":")
        came.setdefault(who, []).append(int(number))
    assert came.keys() == {"main", "thread0", "thread1", "handler"}
    handled = len(came.pop("handler"))
    assert handled == int(slim.run("print(next(handled))"))
    assert all(numbers == list(range(count)) for numbers in came.values()), {who: len(came[who]) for who in came}


def test_no_message_overtakes_one_whose_sending_has_begun(slim: Session) -> None:
    assert "".join(slim.texts(slim.send(OVERTAKEN))) == "first second "


def test_a_forked_child_is_heard_whatever_is_sent_while_it_is_made(slim: Session) -> None:
    count = 30
    heard = "".join(slim.texts(slim.send(FORKS.format(count=count)))).split()
    deadline = time.monotonic() + 30
    while len(heard) < count and time.monotonic() < deadline:  # the last words of a child may come after the cell's end
        heard += "".join(slim.texts(slim.send("pass"))).split()
    assert set(heard) == set(map(str, range(count)))


def test_who_subscribes_later_is_welcomed_with_the_next_message(slim: Session) -> None:
    slim.run("import time\nkernel = get_ipython().kernel")
    assert slim.run(SUBSCRIBED) == "True\n"


def test_the_thread_that_runs_cells_reads_their_requests(slim: Session) -> None:
    names = slim.run("import threading\nprint(*(thread.name for thread in threading.enumerate()), sep=',')")
    assert "MainThread" in names
    assert "Shell channel" not in names, "ipykernel has found another way to start its thread"
    assert "subshells" not in str(slim.info.get("supported_features"))


def test_a_cell_that_shows_nothing_wakes_no_other_thread(slim: Session) -> None:
    slim.run(WOKEN)
    for _ in range(50):
        slim.run("seen.append(woken.times)")
    seen = slim.run("thread._local.event_pipe = woken.pipe\nprint(*seen)").split()
    times = [int(after) - int(before) for before, after in pairwise(seen)]
    assert min(times) == 0, "a message is handed to that thread only where ZMQ has no room for it"


def test_requests_that_come_while_a_cell_awaits_run_one_after_another(slim: Session) -> None:
    awaiting = "import asyncio\nfor part in range({0}, {0} + 3):\n    await asyncio.sleep(0.001)\n    print(part)"
    requests = [
        slim.send((awaiting if start % 2 else "print({0}, {0} + 1, {0} + 2)").format(start))
        for start in range(0, 60, 3)
    ]
    texts = "".join(text.strip() + " " for text in slim.texts(requests[-1]))
    assert texts.split() == [str(number) for number in range(60)]


def test_a_task_goes_on_between_and_within_cells(slim: Session) -> None:
    slim.run(
        "import asyncio\nseen = []\nasync def note():\n  while True:\n    seen.append(1)\n    await asyncio.sleep(0)"
    )
    slim.run("task = asyncio.create_task(note())\nawait asyncio.sleep(0.05)\nbefore = len(seen)")
    assert slim.run("print(len(seen) >= before > 0)\nawait asyncio.sleep(0.05)\ntask.cancel()") == "True\n"


def test_what_was_sent_together_with_a_failing_cell_is_not_run_and_what_comes_later_is(slim: Session) -> None:
    failing = slim.send("get_ipython().kernel.shell_stream.socket.poll(1000)\n1 / 0")  # the other has come by then
    together = slim.send("print('together')")
    assert [reply.content["status"] for reply in slim.replies(failing, together)] == ["error", "aborted"]
    assert slim.run("print('later')") == "later\n"


@pytest.mark.parametrize(
    "earlier",
    [
        "",
        "loop.add_signal_handler(signal.SIGUSR2, int), loop.remove_signal_handler(signal.SIGUSR2)",
        "loop.add_signal_handler(signal.SIGUSR2, int)",
    ],
    ids=["alone", "handled before", "handles"],
)
def test_an_interrupt_ends_a_cell_that_awaits_at_once_and_lets_it_clean_up(slim: Session, earlier: str) -> None:
    awaiting = "print('awaits', end='', flush=True)\ntry:\n  await asyncio.sleep(600)\nfinally:\n  print('clean')"
    slim.run(f"import asyncio, signal\nloop = asyncio.get_running_loop()\n{earlier}")
    printed: list[str] = []
    for message in slim.heard(slim.send(awaiting)):  # fails after a minute
        if message.type == "stream":
            printed += message.texts()
        if printed == ["awaits"]:
            slim.kernel.interrupt()
            printed.append(", ")
    assert "".join(printed) == "awaits, clean\n"
    assert slim.run("print('later')") == "later\n"
    slim.run("loop.remove_signal_handler(signal.SIGUSR2)")


def test_a_signals_descriptor_is_the_notebooks(slim: Session) -> None:
    shows = "print(signal.set_wakeup_fd(-1))"
    assert slim.run(f"import asyncio, signal, socket\n{shows}") == "-1\n"
    slim.run("mine, other = socket.socketpair(); mine.setblocking(False); await asyncio.sleep(0)")
    assert slim.run(shows) == "-1\n"
    assert slim.run("await asyncio.sleep(0); _ = signal.set_wakeup_fd(mine.fileno())") == ""
    assert slim.run("await asyncio.sleep(0); print('on')") == "on\n"
    assert slim.run("print(signal.set_wakeup_fd(-1) == mine.fileno())") == "True\n"
    slim.run("_ = signal.set_wakeup_fd(mine.fileno()); mine.close()")
    assert slim.run("await asyncio.sleep(0); print('on')") == "on\n"
    assert slim.run(shows) == "-1\n"
    slim.run("handled, loop = asyncio.Event(), asyncio.get_running_loop()")
    slim.run("loop.add_signal_handler(signal.SIGUSR2, handled.set)")
    assert slim.run("signal.raise_signal(signal.SIGUSR2); await handled.wait(); print('handled')") == "handled\n"
    slim.run("loop.remove_signal_handler(signal.SIGUSR2)")
