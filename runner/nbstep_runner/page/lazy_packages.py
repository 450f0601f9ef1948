"""Packages that only gather names from their modules, made to import a module when one of its names is used."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any


@contextmanager
def lazily(package: str, *below: str) -> Iterator[None]:
    """Import a package in the context, but what its ``__init__`` gathers only when it is used.

    nbconvert's import every exporter, a web server and what executes notebooks: 130 modules that no page needs, 45 ms
    of processor time. Where the package does more than gather names, or its first use fails, it is left to be imported
    whole. For a process of our own only, where nobody else imports it.

    Args:
        package: Its name; nothing is done where it is imported already.
        below: The names of packages in it that are imported in the same way.
    """
    if package in sys.modules:
        yield
        return
    try:
        for name in (package, *(f"{package}.{each}" for each in below)):
            _put_in_place(name)
        yield
    except Exception:
        for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
            del sys.modules[name]
        raise


def stand_in(name: str, for_name: str) -> None:
    """Let a module be imported under another's name, which does no more than repeat it, without that one's packages.

    nbconvert asks IPython for its lexers, which are a distribution of their own by now: IPython's shell would come with
    them, 30 ms of processor time. Nothing is done where either is missing, or the other imported already.
    """
    with suppress(ImportError):
        sys.modules.setdefault(for_name, import_module(name))


def _put_in_place(name: str) -> None:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ImportError(f"no package named {name!r}")
    homes = dict(_homes(ast.parse(Path(spec.origin).read_bytes()).body))
    package: Any = module_from_spec(spec)

    def find(attribute: str) -> Any:
        if attribute not in homes:
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        module, known_as = homes[attribute]
        found = import_module(module, name)
        return getattr(found, known_as) if known_as else found

    package.__getattr__ = find
    sys.modules[name] = package
    parent, _, short = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], short, package)


def _homes(statements: list[ast.stmt]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Where a package's names come from: a module, and the name there, which is empty for the module itself."""
    for statement in statements:
        match statement:
            case ast.ImportFrom():
                module = "." * statement.level + (statement.module or "")
                for each in statement.names:
                    home = (module, each.name) if statement.module else (module + each.name, "")
                    yield each.asname or each.name, home
            case ast.Try():
                yield from _homes(statement.body)
            case ast.Expr(ast.Constant()) | ast.Assign(targets=[ast.Name("__all__")]):
                pass
            case _:
                raise ImportError(f"a package that does more than gather names: {ast.unparse(statement)}")
