"""Bash: scalars are text, lists of scalars are arrays."""

from __future__ import annotations

import re
import shlex
from typing import Any

from nbstep_runner.parameters.languages.base import CannotHoldError, Language, escaped, without_nul, words
from nbstep_runner.parameters.secret import SecretReference

_NAMED = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_PRINTABLE = re.compile(r"[ -~]*")


class Bash(Language):
    """A value is written in printable ASCII on one line: kernels feed Bash through a terminal's line editor."""

    # Read-only variables, and those whose reading or assignment Bash itself has a part in (bash(1), Shell Variables).
    reserved = words(
        "BASH BASHOPTS BASHPID BASH_ALIASES BASH_ARGC BASH_ARGV BASH_ARGV0 BASH_CMDS BASH_COMMAND BASH_ENV "
        "BASH_EXECUTION_STRING BASH_LINENO BASH_REMATCH BASH_SOURCE BASH_SUBSHELL BASH_VERSINFO BASH_VERSION "
        "COMP_WORDBREAKS DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME GROUPS HISTCMD IFS LINENO OPTIND PIPESTATUS "
        "POSIXLY_CORRECT PPID PROMPT_COMMAND PS1 PS2 RANDOM SECONDS SHELLOPTS SHLVL SRANDOM UID _"
    )
    special = ("nan", "inf", "-inf")

    def _assignment(self, name: str, value: Any) -> str:
        if isinstance(value, SecretReference) and value.source == "file":
            return _read_file(name, self._text(value.name))
        return f"{name}={self._literal(value)}"

    def _text(self, value: str) -> str:
        if _PRINTABLE.fullmatch(value):
            return shlex.quote(value)
        return f"$'{escaped(without_nul(value), _NAMED, _bytes)}'"

    def _sequence(self, value: list[Any]) -> str:
        for item in value:
            if isinstance(item, (list, tuple, dict)):
                raise CannotHoldError("a list that holds lists or mappings")
            if isinstance(item, SecretReference) and item.source == "file":
                raise CannotHoldError("a secret from a file inside a list")
        return f"({' '.join(self._literal(item) for item in value)})"

    def _secret(self, reference: SecretReference) -> str:
        return f'"${{{reference.name}:?the secret is not set}}"'


def _read_file(name: str, path: str) -> str:
    """``read`` keeps the newlines that a substitution would strip, so that only the last one is taken off."""
    read = f"unset -v {name}; IFS= read -r -d '' {name} < {path} || {name}=${{{name}%$'\\n'}}"
    return f'{read}; : "${{{name}:?the secret could not be read}}"'


def _bytes(character: str) -> str:
    r"""The UTF-8 bytes as ``\xHH``, which unlike ``\u`` does not depend on the locale."""
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


LANGUAGE = Bash("Bash")
