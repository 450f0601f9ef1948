"""What a kernel prints, in any amount and by any way: nothing is lost, little is held, nobody waits for ever."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import pytest

from nbstep_runner.kernel import specs
from nbstep_runner.kernel.process import KernelProcess, LaunchOptions
from support.kernel_session import Session

TOKEN = secrets.token_hex(16)
PEAK = "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])"
HELD_LOCK = """
import ctypes
library = ctypes.PyDLL(None)
library.printf(b'%s', b'1' * {size})
library.fflush(None)
print('done')
"""
PRINTED_BESIDE = """
import signal, sys, threading
alarms = 0
def sound(*_):
    global alarms
    alarms += 1
    print('alarm', file=sys.stderr)
    signal.setitimer(signal.ITIMER_REAL, 0.002)  # not before it has ended: a busy machine would do nothing else
signal.signal(signal.SIGALRM, sound)
signal.setitimer(signal.ITIMER_REAL, 0.002)
def work(name):
    for number in range(3000):
        print(name, number, file=sys.stderr if number % 10 == 0 else sys.stdout)
threads = [threading.Thread(target=work, args=(name,)) for name in ('first', 'second')]
for thread in threads: thread.start()
for number in range(20_000): print('main', number)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
for thread in threads: thread.join()
print('sounded', alarms)
"""
FLUSHED_BESIDE = """
import logging, signal, subprocess, time
noisy = subprocess.Popen(['sh', '-c', 'while :; do echo noise >&2; done'])
alarms = 0
def sound(*_):
    global alarms
    alarms += 1
    logging.warning('alarm')
    signal.setitimer(signal.ITIMER_REAL, 0.005)
logging.basicConfig()
signal.signal(signal.SIGALRM, sound)
signal.setitimer(signal.ITIMER_REAL, 0.005)
longest, before = 0, time.monotonic()
for number in range(20_000):
    print('main', number)
    now = time.monotonic()
    longest, before = max(longest, now - before), now
signal.signal(signal.SIGALRM, signal.SIG_IGN)
noisy.kill(), noisy.wait()
print(f"sounded {alarms} {'held up' if longest > 8 else 'in time'}")
"""
FORKED_BESIDE = """
import multiprocessing, subprocess
noisy = subprocess.Popen(['sh', '-c', 'while :; do echo noise >&2; done'])
fork = multiprocessing.get_context('fork')
for number in range(30):
    child = fork.Process(target=print, args=('child', number))
    child.start()
    child.join(20)
    if child.exitcode is None:
        child.kill()
        print('hangs')
noisy.kill(), noisy.wait()
"""
NO_TEXT = """
import sys
print('one')
for value in (1, b'two'):
    try:
        sys.stdout.write(value)
    except TypeError as error:
        print(error)
"""
ENDLESS = """
import subprocess
endless = subprocess.Popen(['yes'])
"""


@pytest.fixture(params=[False, True], ids=["slim", "stock"])
def session(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with which a stock kernel leaves its pipes away
    yield from _session(stock=request.param)


@pytest.fixture
def slim() -> Iterator[Session]:
    yield from _session(stock=False)


def _session(*, stock: bool) -> Iterator[Session]:
    made = Session(KernelProcess(specs.find("python3"), LaunchOptions(stock=stock, token=TOKEN)))
    yield made
    made.close()


@pytest.mark.fault(52)
@pytest.mark.parametrize(
    "code",
    [
        "print('x' * {size})",
        "import sys\nfor _ in range({size} // 100): sys.stdout.write('x' * 100)",
        "import os; os.system('head -c {size} /dev/zero')",
        "from IPython.display import display_html\nfor _ in range(30): display_html('x' * ({size} // 30), raw=True)",
    ],
    ids=["one print", "writes", "a command", "displays"],
)
def test_a_kernel_waits_for_a_slow_reader_and_holds_little(slim: Session, code: str) -> None:
    """30 MB; a queue of messages would hold all of it, in Python and in JSON."""
    size = 30_000_000
    before = int(slim.run(PEAK))
    asked = slim.send(code.format(size=size))
    time.sleep(0.5)  # nobody reads
    assert sum(len(text.rstrip("\n")) for text in slim.texts(asked)) == size
    of_the_code_itself = size if code.startswith("print") else 0
    assert int(slim.run(PEAK)) - before < (60_000_000 + of_the_code_itself) // 1024


@pytest.mark.fault(33)
def test_half_a_surrogate_pair_loses_no_text_around_it(slim: Session) -> None:
    assert slim.run(r"print('before'); print('half \ud83d a pair'); print('after')").splitlines()[::2] == [
        "before",
        "after",
    ]


@pytest.mark.fault(33)
def test_half_a_surrogate_pair_loses_no_reply(slim: Session) -> None:
    asked = slim.send(r"raise ValueError('half \ud83d a pair')")
    assert slim.reply(asked).content["ename"] == "ValueError"


@pytest.mark.fault(33)
def test_a_process_that_is_given_sys_stdout_is_heard(slim: Session) -> None:
    code = "import subprocess, sys\nprint('one')\nsubprocess.run(['echo', 'two'], stdout=sys.stdout)\nprint('three')"
    assert slim.run(code) == "one\ntwo\nthree\n"


@pytest.mark.fault(33)
def test_what_threads_and_handlers_of_signals_print_beside_a_cell_is_all_there(slim: Session) -> None:
    printed = slim.run(PRINTED_BESIDE)
    alarms = int(printed.rpartition("sounded ")[2].split()[0])
    assert alarms > 0
    assert [printed.count(each) for each in ("main", "first", "second", "alarm")] == [20_000, 3000, 3000, alarms]


@pytest.mark.fault(33)
def test_a_handler_of_a_signal_that_logs_holds_up_nothing(slim: Session) -> None:
    """It flushes within the print that it interrupts, while native output comes for the same stream."""
    printed = slim.run(FLUSHED_BESIDE)
    alarms, _, verdict = printed.rpartition("sounded ")[2].strip().partition(" ")
    assert (verdict.splitlines()[0], int(alarms) > 0) == ("in time", True)
    assert [printed.count(each) for each in ("main", "WARNING:root:alarm")] == [20_000, int(alarms)]


@pytest.mark.fault(33)
def test_forked_children_end_whatever_is_printed_beside_them(slim: Session) -> None:
    """Each flushes as it ends."""
    printed = slim.run(FORKED_BESIDE) + slim.run("import time; time.sleep(1)")  # the last may be heard after its end
    assert (printed.count("child"), printed.count("hangs")) == (30, 0)


def test_a_stream_takes_nothing_but_text(session: Session) -> None:
    assert session.run(NO_TEXT).splitlines() == [
        "one",
        "write() argument must be str, not <class 'int'>",
        "write() argument must be str, not <class 'bytes'>",
    ]


@pytest.mark.fault(33)
@pytest.mark.parametrize("size", [100_000, 3_000_000])
def test_native_code_that_holds_the_interpreters_lock_prints_as_much_as_it_likes(session: Session, size: int) -> None:
    printed = session.run(HELD_LOCK.format(size=size))
    assert (printed.count("1"), printed.count("done")) == (size, 1)


@pytest.mark.fault(33)
def test_a_process_that_never_stops_printing_holds_up_no_cell(slim: Session) -> None:
    slim.run(ENDLESS)
    slim.run("1")
    slim.run("endless.kill(); endless.wait()")


@pytest.mark.fault(1)
def test_the_last_words_of_native_code_are_heard(slim: Session) -> None:
    """They wait in a pipe, which the kernel that dies with them can read no more."""
    slim.send("import ctypes\nctypes.PyDLL(None).__assert_fail(b'all is well', b'solver.c', 7, b'solve')")
    heard, died = "", False
    while not died:
        part = slim.kernel.wait(20)
        heard += "".join(text for message in part.iopub if message.type == "stream" for text in message.texts())
        died = part.died
    assert "solver.c:7: solve: Assertion `all is well' failed." in heard
