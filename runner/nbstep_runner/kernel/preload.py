"""Imports modules in a process that will fork, as far as its children can use them as if they had imported them.

Loaded by path by the fork server, in the kernels' own interpreter: it imports nothing of ours. A module is left to the
kernels where importing it before the fork would be seen: it is known for that (``UNFIT``), it is a file of the user's
own, or its import did what no child inherits or sees. That is found out by watching it:

* it starts threads, and they do not end by themselves at a fork (``pthread_atfork``), as OpenBLAS's do;
* it opens a device or a socket, or makes an event loop;
* it looks for the running IPython shell, of which there is none yet;
* it prints or warns: a notebook that imports it shows that.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import io
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

UNFIT = frozenset(
    {
        *("torch", "tensorflow", "jax", "jaxlib", "cupy", "cudf", "cuml", "rmm", "pycuda", "numba.cuda", "mxnet"),
        *("grpc", "ray", "pyspark", "distributed", "polars", "mpi4py"),
        *(
            "ipywidgets",
            "tqdm.auto",
            "tqdm.autonotebook",
            "tqdm.notebook",
            "plotly",
            "panel",
            "holoviews",
            "nest_asyncio",
        ),
        *("matplotlib.pyplot", "pylab", "seaborn"),
    }
)
"""Known to start threads, to open devices, or to look at the kernel, if not while they are imported then soon after."""

INSTEAD = {
    "matplotlib.pyplot": ("matplotlib.figure", "matplotlib.backends.backend_agg"),
    "seaborn": ("matplotlib.figure", "matplotlib.backends.backend_agg", "pandas", "scipy.stats"),
}
"""The larger part of what an unfit module imports, and fit."""

ASK_FOR_A_KERNEL = frozenset({"pandas.core.config_init"})
"""Modules that look for the shell only to see that it has a kernel; they are told so."""

HARMLESS_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/shm/")  # noqa: S108 - only compared
MATPLOTLIB_BACKEND = "module://matplotlib_inline.backend_inline"


def preload(names: Iterable[str], unfit: Iterable[str]) -> tuple[str, str] | None:
    """Import the modules, best effort; what cannot be imported is left to the notebook to complain of.

    Args:
        names: Dotted names; ``package.name`` may also be a function of the package.
        unfit: Names to leave out, besides those that are known.

    Returns:
        The first module whose import did what a child must not inherit, and what; this process is of no use then.
    """
    os.environ.setdefault("MPLBACKEND", MATPLOTLIB_BACKEND)  # as ipykernel, before a kernel's user code
    left_out = UNFIT | set(unfit)
    for name in [part for whole in names for part in INSTEAD.get(whole, (whole,))]:
        if not any(name == each or name.startswith(f"{each}.") for each in left_out) and not _is_local(name):
            trouble = _import(name)
            if trouble:
                return name, trouble
    return None


def _is_local(name: str) -> bool:
    """Whether the module lies in the working directory, which goes before installed packages in a kernel."""
    top = name.partition(".")[0]
    return os.path.isdir(top) or any(os.path.exists(top + ending) for ending in importlib.machinery.all_suffixes())  # noqa: PTH110, PTH112 - cheap, and no more is needed


def _import(name: str) -> str:
    """Import a module; what is wrong with having done so, if anything is."""
    opened = _open_files()
    printed = io.StringIO()
    with (
        _watching_for_the_shell() as looked,
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        contextlib.suppress(Exception, SystemExit),
    ):
        _import_or_parent(name)
    if looked:
        return "looks for the running shell"
    if printed.getvalue():
        return "prints or warns"
    if any(map(_is_trouble, _open_files() - opened)):
        return "opens a device, a socket or an event loop"
    return "starts threads" if _has_lasting_threads() else ""


def _import_or_parent(name: str) -> None:
    """Import a module, or the one above where the last part is no module but something in it."""
    parent, _, last = name.rpartition(".")
    if parent:
        module = importlib.import_module(parent)
        if hasattr(module, last) or not hasattr(module, "__path__"):
            return
    importlib.import_module(name)


def _open_files() -> set[str]:
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 - only names are wanted
        with contextlib.suppress(OSError):
            found.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    return found


def _is_trouble(target: str) -> bool:
    if target.startswith("/dev/"):
        return not target.startswith(HARMLESS_DEVICES)
    return target.startswith(("socket:", "anon_inode:"))


def _has_lasting_threads() -> bool:
    """Whether there are threads that a fork does not end. A fork is tried: handlers of ``pthread_atfork`` run in it."""
    if _thread_count() > 1:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    return _thread_count() > 1


def _thread_count() -> int:
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - only their number is wanted


@contextlib.contextmanager
def _watching_for_the_shell() -> Iterator[list[bool]]:
    """A list that is not empty once somebody has asked whether there is an IPython shell."""
    import builtins

    from IPython.core.interactiveshell import InteractiveShell

    looked: list[bool] = []
    initialized = InteractiveShell.__dict__.get("initialized")

    def note(_: Any = None) -> bool:
        looked.append(True)
        return False

    def get_ipython() -> Any:
        if sys._getframe(1).f_globals.get("__name__") in ASK_FOR_A_KERNEL:  # noqa: SLF001 - Python's own way to see a caller
            return SimpleNamespace(kernel=None)
        note()
        raise NameError("name 'get_ipython' is not defined")

    shell: Any = InteractiveShell
    names: Any = builtins
    shell.initialized = classmethod(note)
    names.get_ipython = get_ipython
    try:
        yield looked
    finally:
        del names.get_ipython
        if initialized is None:
            del shell.initialized
        else:
            shell.initialized = initialized


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Imports make little garbage and many objects: looking for it takes a sixth of their time.

    The collectors of children pass over what is there at the end, so that they do not copy it.
    """
    gc.disable()
    yield
    gc.collect()
    gc.freeze()
    gc.enable()


def reseed() -> None:
    """In a child: draw the seeds of the global generators anew, as a process of its own would."""
    import random

    random.seed()
    numpy_random: Any = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
