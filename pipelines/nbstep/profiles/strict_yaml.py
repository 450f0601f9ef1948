"""YAML that people write for the launcher, read by the safe loader without repeated keys; and YAML written for them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

from nbstep_runner.errors import BadInputError, InputNotFoundError

MAX_BYTES: Final = 2**20

_TAG: Final = "tag:yaml.org,2002:"
_SCALARS: Final = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
}
"""The patterns of what is no text though it has no quotes, beside ``null``, and the characters that they begin with."""


class _Loader(yaml.SafeLoader):
    """The safe loader. A repeated key is an error, and text without quotes is less often something else than text.

    As in YAML 1.2 ``no`` is no boolean, ``12:30`` no number in base 60 and ``2026-02-30`` no date. What begins with a
    zero, such as ``012``, is text as well.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} comes twice", node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed", None)
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(_TAG) not in {*_SCALARS, "timestamp"}]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"({_pattern})$"), list(_first))


class PlainDumper(yaml.SafeDumper):
    """Writes out what stands in two places twice, because people read it."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's interface
        """No value is written as a reference to another."""
        return True


def load_file(file: Path, *, what: str) -> Any:
    """What the document of a file holds.

    Raises:
        InputNotFoundError: There is no such file.
        BadInputError: It cannot be read, or is not such a document.
    """
    return load(read_file(file, what=what), where=str(file))


def read_file(file: Path, *, what: str) -> bytes:
    """The bytes of such a file, as of :func:`load_file`.

    Raises:
        InputNotFoundError: There is no such file.
        BadInputError: It cannot be read.
    """
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise InputNotFoundError(f"there is no {what} {file}", hint="Check the path.") from None
    except OSError as error:
        hint = "Name a file that may be read."
        raise BadInputError(f"the {what} {file} cannot be read: {error.strerror or error}", hint=hint) from None


def load(data: bytes, *, where: str) -> Any:
    """What a document holds.

    Raises:
        BadInputError: It is not such a document.
    """
    hint = f"Correct {where}."
    if len(data) > MAX_BYTES:
        raise BadInputError(f"{where} is larger than {MAX_BYTES} bytes", hint=hint)
    try:
        return yaml.load(data, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader, stricter than it
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise BadInputError(f"{where} cannot be read: {error.problem or error.context}{place}", hint=hint) from None
    except (
        yaml.YAMLError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
    ) as error:  # such as `!!int ""`
        raise BadInputError(f"{where} cannot be read: {' '.join(str(error).split())}", hint=hint) from None
