"""Starts ipykernel without what a run never uses. Executed as a script by the kernel's own interpreter.

It imports nothing of ours, because the kernel's environment need not hold nbstep. What differs from
``python -m ipykernel_launcher``, and why:

* no debugger: debugpy alone takes 75 to 95 ms to import; user code can still import it;
* jupyter_client's clients and managers, which a kernel does not use, are imported when user code asks for them, and so
  is dateutil, of which it takes what the standard library does as well;
* its one argument is read without a parser of hundreds of options, whose making takes 6 ms;
* the history of inputs is the kernel's own and in memory: on disk its first write alone takes 35 ms, and the kernels of
  a user share one file;
* text is sent 10 ms after it was printed, not 200 ms (``OutStream.flush_interval``);
* no sleep of 0.5 ms before each reply (``Kernel._execute_sleep``): the order of messages does not depend on it;
* a flush with nothing to send returns at once: besides its cost for every cell, the kernel's control thread could
  wait for it for seconds at shutdown, when the thread that would answer has already stopped;
* what subprocesses and native code print is decoded across reads, so that no character is torn, and it is taken
  before a cell's reply, so that it is not attributed to the next cell; it is not echoed to the process's own stderr;
  ``sys.stdout.fileno()`` is where it is taken from, so that a process that is given it is heard;
* what is printed to stdout and stderr is sent in the order in which it was printed, what a subprocess printed before
  what is printed after it, and all of it before what is shown after it;
* writing a piece of text costs a fraction: the buffer of the last message's cell is kept at hand;
* of the outputs that IPython 9 holds in memory for ``%notebook``, 16 MB are kept, and what is printed is kept as it is
  sent instead of piece by piece;
* a handler of a signal may print to any stream while its thread does (``OutStream._buffer_lock`` is one for both);
* a command (``!``) has an empty standard input instead of a terminal on which it would wait for ever, what it writes is
  printed as it comes and not kept, and the runner is told of one that fails; so it is of a ``%cd``, and of a script in
  the background;
* the main thread, in which cells run, reads their requests; ipykernel 7 has a thread for that, for the sake of
  subshells, and has none of these then;
* whoever publishes a message sends it, where none waits to be sent, instead of waking the IOPub thread for it, and that
  thread is not woken for each message that has left; who subscribes later is welcomed with the next message
  (``IOPubThread.send_multipart``);
* for each cell nothing is logged that no handler takes, no signature of ipykernel's own methods is inspected again,
  and a cell without the words ``await`` and ``async`` is not compiled once more to see whether it awaits something;
  for each message no encoder is made anew, and a socket's events are looked up directly;
* a slow reader makes the kernel wait instead of losing output (``ZMQ_XPUB_NODROP``), and what is printed or shown is
  sent in pieces of which few are held, so that it costs no memory (``OutStream.write``,
  ``IOPubThread.send_multipart``);
* a group of exceptions is published as an error, and a cell that awaits knows nothing of what an earlier one raised;
* the control characters of a large printed text are sent as they are, not as six bytes each (``Session.pack``);
* an interrupt ends a cell that awaits at once, and not with the event loop's next event (``signal.set_wakeup_fd``);
* an interrupt, or a handler of a signal that raises, never makes the IOPub thread count as ended (``Thread.is_alive``);
* half of a surrogate pair in a text is sent as an escape instead of losing the whole message (``Session.pack``);
* at shutdown a child that has ended, but that user code did not wait for, does not count: it would hold the kernel for
  14 s, and the run would kill it before its exit handlers run;
* what subprocesses print is taken in a test run too, where ipykernel leaves it out (``PYTEST_CURRENT_TEST``);
* a crash writes its Python traceback to the process's own stderr (``faulthandler``);
* at the end threads are joined, exit handlers run, the namespace is cleared and open files are flushed as ever, but
  the interpreter is not taken apart after that: it would only free memory that the process gives back anyway.

Tested with ipykernel 6.29 to 7, for Python 3.8 and newer; ``--stock-kernel`` launches the kernel without any of this.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from types import SimpleNamespace
from typing import Any


def main() -> None:
    """Be the kernel until it is told to shut down. The parts are modules, so that Python keeps them compiled."""
    folder = sys.path.pop(0)  # this script's; ipykernel adds the working directory itself
    names = ("imports", "pipes", "streams", "shell", "commands", "messages")
    parts = SimpleNamespace(**{name: _load(folder, f"slim_{name}") for name in names})
    _load(folder, "slim_application").be_kernel(parts)


def _load(folder: str, name: str) -> Any:
    """A module that is not on the path, and under no name that user code could come upon."""
    spec: Any = importlib.util.spec_from_file_location(f"_nbstep_{name}", os.path.join(folder, f"{name}.py"))  # noqa: PTH118 - pathlib takes 6 ms to import
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
