"""What is compiled for a first page, kept for later processes: regular expressions, and nbconvert's templates.

It lies where Python keeps this package's compiled modules, and is trusted as those are: whoever can write there can
write our code. Where that is not this user, or Python is told to write no compiled modules, all is compiled each time.
"""

from __future__ import annotations

import marshal
import os
import re
import sys
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from threading import get_ident
from typing import Any, Final

LIBRARIES: Final = ("jinja2", "nbconvert", "nbstep_runner", "bs4", "soupsieve", "mistune", "pygments")
"""What is kept is theirs as well as Python's: another version of one of them begins anew."""
_Pattern = tuple[int, bytes, int, dict[str, int], tuple[str | None, ...]]
"""Flags, code, number of groups, groups by name, names by group: what a pattern is made of, but for its text."""


class Kept:
    """Compiled regular expressions by text and flags, and compiled templates by Jinja's key.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._of = _versions()
        self.patterns: dict[tuple[str | bytes, int], _Pattern] = {}
        self.templates: dict[str, bytes] = {}
        with suppress(OSError, EOFError, ValueError, TypeError, zlib.error):
            data = zlib.decompress(path.read_bytes())
            of, patterns, templates = marshal.loads(data)  # noqa: S302 - as trusted as our compiled modules
            if of == self._of:
                self.patterns, self.templates = dict(patterns), dict(templates)
        self._complete = bool(self.patterns)

    def save(self) -> None:
        """Write down what was compiled, whole or not at all, unless Python is to write nothing.

        It is written once: bs4 makes patterns of sets, which are others in each process, and would never be all there.
        """
        if sys.dont_write_bytecode or self._complete:
            return
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(zlib.compress(marshal.dumps((self._of, self.patterns, self.templates))))
            temporary.replace(self._path)

    def template_cache(self) -> Any:
        """What Jinja asks for compiled templates: reading, compiling and optimising them takes 45 ms.

        Jinja looks at the text of each template, and takes none that was compiled from another.
        """
        from jinja2 import BytecodeCache

        templates = self.templates

        class Cache(BytecodeCache):
            def load_bytecode(self, bucket: Any) -> None:
                if bucket.key in templates:
                    bucket.bytecode_from_string(templates[bucket.key])

            def dump_bytecode(self, bucket: Any) -> None:
                templates[bucket.key] = bucket.bytecode_to_string()

        return Cache()


def _versions() -> tuple[str | int, ...]:
    """What it was compiled with and for, as files have it: importing them would take longer."""
    files = (spec.origin for name in LIBRARIES if (spec := find_spec(name)) and spec.origin)
    stats = (Path(file).stat() for file in files)
    return (sys.version, *(each for stat in stats for each in (stat.st_mtime_ns, stat.st_size)))


@contextmanager
def kept_compilations() -> Iterator[Kept]:
    """Take from what is kept, in this thread, until the context ends; and keep what was compiled besides.

    Raises:
        Exception: This Python has its regular expressions compiled in another way, or compiled modules nowhere.
    """
    kept = Kept(Path(cache_from_source(__file__)).with_suffix(".kept"))
    compiler: Any = import_module("re._compiler")
    plain = compiler.compile
    compiler.compile = _taking_from(kept.patterns, compiler, plain)
    try:
        yield kept
    finally:
        compiler.compile = plain
    kept.save()


def _taking_from(
    patterns: dict[tuple[str | bytes, int], _Pattern], compiler: Any, plain: Callable[..., Any]
) -> Callable[..., Any]:
    """What compiles regular expressions, but takes the code from where it is kept.

    bs4, soupsieve, mistune and Pygments compile 400 of them for a first page: 0.17 of its 0.45 s of processor time. A
    pattern is made of its text, its flags and the numbers that its text was compiled to, which Python checks.
    """
    thread = get_ident()

    def compile_pattern(pattern: Any, flags: Any = 0) -> Any:
        if get_ident() != thread or type(pattern) not in {str, bytes} or flags & re.DEBUG:
            return plain(pattern, flags)
        key = pattern, int(flags)
        try:
            if key not in patterns:
                patterns[key] = _compiled(pattern, int(flags), compiler)
            known, code, groups, by_name, by_group = patterns[key]
            return compiler._sre.compile(pattern, known, array("I", code).tolist(), groups, by_name, by_group)  # noqa: SLF001 - as below
        except Exception:  # noqa: BLE001 - what it tells of a pattern, it tells itself
            return plain(pattern, flags)

    return compile_pattern


def _compiled(pattern: str | bytes, flags: int, compiler: Any) -> _Pattern:
    parsed = compiler._parser.parse(pattern, flags)  # noqa: SLF001 - re has no other way to its code
    code = array("I", compiler._code(parsed, flags)).tobytes()  # noqa: SLF001 - as above
    by_name = dict(parsed.state.groupdict)
    by_group: list[str | None] = [None] * parsed.state.groups
    for name, index in by_name.items():
        by_group[index] = name
    return flags | parsed.state.flags, code, parsed.state.groups - 1, by_name, tuple(by_group)
