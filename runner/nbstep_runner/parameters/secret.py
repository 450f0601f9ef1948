"""Secrets: parameters that are named here and read only where the notebook runs."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from nbstep_runner.errors import BadInputError

MAX_SECRET_BYTES = 2**20
_SOURCES: Final[dict[str, Literal["env", "file"]]] = {"env": "env", "file": "file"}
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORM = "{secret: env:NAME} or {secret: file:/path}"
_FORM_HINT = "Only the place of a secret belongs in the parameters."


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is found when the notebook runs; never its value.

    Attributes:
        source: ``env`` for an environment variable, ``file`` for a file.
        name: The variable's name, or the file's absolute path.

    Raises:
        BadInputError: The name is no such name. It is not repeated, for it may be the secret itself.
    """

    source: Literal["env", "file"]
    name: str

    def __post_init__(self) -> None:
        is_env = self.source == "env" and _ENV_NAME.fullmatch(self.name)
        is_file = self.source == "file" and self.name.startswith("/") and self.name.isprintable()
        if not (is_env or is_file):
            raise BadInputError(f"a secret is written {_FORM}", hint=_FORM_HINT)

    def as_json(self) -> dict[str, str]:
        """The form in which parameters, records and metadata hold it."""
        return {"secret": f"{self.source}:{self.name}"}

    def value(self) -> str:
        """The secret itself, read now. One newline at the end of a file is not part of it.

        Raises:
            BadInputError: It is not set, empty, not text, or cannot be read; the message names the place only.
        """
        text = os.environ.get(self.name) if self.source == "env" else _file_text(self.name)
        if not text:
            what, absent = ("environment variable", "not set") if self.source == "env" else ("file", "not there")
            state = absent if text is None else "empty"
            raise BadInputError(
                f"the secret's {what} {self.name} is {state}",
                hint="Give the secret to the process that runs the notebook.",
            )
        return text


def is_secret(value: Any) -> bool:
    """Whether a value has the form of a secret reference, well written or not: a mapping of ``secret`` alone."""
    return isinstance(value, Mapping) and len(value) == 1 and "secret" in value


def parse_secret(value: Mapping[Any, Any]) -> SecretReference:
    """The reference that ``{"secret": "env:NAME"}`` stands for.

    Raises:
        BadInputError: It has another form.
    """
    source, _, name = str(value["secret"]).partition(":")
    if source not in _SOURCES:
        raise BadInputError(f"a secret is written {_FORM}", hint=_FORM_HINT)
    return SecretReference(_SOURCES[source], name)


def secrets_in(value: Any) -> Iterator[SecretReference]:
    """Every reference in a value, however deep."""
    if isinstance(value, SecretReference):
        yield value
    elif isinstance(value, (list, tuple, set, frozenset, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from secrets_in(item)


def _file_text(path: str) -> str | None:
    """A file's text. A pipe is refused: the notebook reads the secret again, and what was read of a pipe is gone."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadInputError(f"the secret's file {path} is no regular file", hint="Write the secret to a file.")
            data = file.read(MAX_SECRET_BYTES + 1)
        if len(data) > MAX_SECRET_BYTES:
            raise BadInputError(f"the secret's file {path} is larger than {MAX_SECRET_BYTES} bytes")
        return data.decode().removesuffix("\n")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise BadInputError(f"the secret's file {path} cannot be read: {reason}") from None


def _open_at_once(path: str, flags: int) -> int:
    """A pipe that nobody writes to does not hold up its refusal."""
    return os.open(path, flags | os.O_NONBLOCK)
