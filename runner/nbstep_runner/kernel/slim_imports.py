"""What a kernel imports, and what not: see ``slim_ipykernel``. Loaded by path; it imports nothing of ours."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def load() -> None:
    """Import ipykernel, and start nothing: no thread, no event loop, no ZMQ context; then kernels can be forked."""
    deferred = _defer_jupyter_client()
    with without_debugger():
        from ipykernel import kernelapp

    assert kernelapp  # noqa: S101 - imported for those who come after
    if deferred is not None:
        sys.meta_path.insert(0, deferred)


class _DeferredPackage:
    """Executes ``jupyter_client`` itself when something of it is asked for that ipykernel does not use.

    On the path of finders (``sys.meta_path``) it is asked first for modules that have not been imported.
    """

    def __init__(self, package: ModuleType, loader: Any) -> None:
        self._package = package
        self._loader = loader
        self._lock = threading.RLock()
        package.__dict__["__getattr__"] = self.attribute

    def attribute(self, name: str) -> Any:
        """What the package has of that name."""
        self._execute()
        return getattr(self._package, name)

    def _execute(self) -> None:
        with self._lock:
            if self._package.__dict__.pop("__getattr__", None) is not None:
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                self._loader.exec_module(self._package)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The module, where executing the package has imported it; else it is found as ever."""
        del path, target
        if not name.startswith(f"{self._package.__name__}."):
            return None
        self._execute()
        module = sys.modules.get(name)
        if module is None:
            return None
        loader: Any = _Imported(module)
        spec = ModuleSpec(name, loader)
        module.__spec__ = spec  # the import system, which sees that the module is there by now, goes on with this one
        return spec


class _Imported:
    """The loader of a module that was imported while it was looked for."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: Any) -> ModuleType:
        """The module that is there."""
        del spec
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """It has been executed; what it says of itself stays as it was."""
        module.__spec__ = self._spec


def _defer_jupyter_client() -> Any:
    """Let the modules of ``jupyter_client`` be imported before the package itself is executed, on its first use.

    Returns:
        What executes it in time, to be put on the path of finders once ipykernel has what it needs; ``None`` where the
        package is loaded already.
    """
    from importlib import import_module
    from importlib.util import find_spec, module_from_spec

    spec = find_spec("jupyter_client")
    if spec is None or spec.loader is None or spec.name in sys.modules:
        return None
    package = module_from_spec(spec)
    deferred = _DeferredPackage(package, spec.loader)
    sys.modules[spec.name] = package
    with _without_dateutil():
        connect = import_module("jupyter_client.connect")
    for name in ("find_connection_file", "write_connection_file"):  # all that ipykernel takes from the package itself
        setattr(package, name, getattr(connect, name))
    return deferred


@contextmanager
def _without_dateutil() -> Iterator[None]:
    """Let ``jupyter_client`` read the times of messages with the standard library, which can do it since 3.11."""
    modules: dict[str, Any] = sys.modules
    names = ("dateutil", "dateutil.parser", "dateutil.tz")
    if sys.version_info < (3, 11) or any(name in modules for name in names):
        yield
        return
    from datetime import UTC, datetime

    for name in names:
        modules[name] = ModuleType(name)
    modules["dateutil.parser"].isoparse = datetime.fromisoformat
    modules["dateutil.tz"].tzlocal = lambda: datetime.now(UTC).astimezone().tzinfo
    try:
        yield
    finally:
        for name in names:
            del modules[name]


@contextmanager
def without_blocking_client() -> Iterator[None]:
    """Let the application be made without the class of a client, for which traitlets would import the package."""
    from jupyter_client.connect import ConnectionFileMixin

    trait: Any = ConnectionFileMixin.blocking_class
    default, trait.default_value = trait.default_value, object
    try:
        yield
    finally:
        trait.default_value = default


@contextmanager
def without_debugger() -> Iterator[None]:
    """Let ipykernel go without debugpy; user code can import it afterwards."""
    blocked = "debugpy" not in sys.modules
    if blocked:
        modules: dict[str, Any] = sys.modules  # ``None`` makes an import fail, and ipykernel goes without
        modules["debugpy"] = None
    try:
        yield
    finally:
        if blocked:
            del sys.modules["debugpy"]
