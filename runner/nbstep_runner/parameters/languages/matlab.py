"""MATLAB: numbers are doubles, lists are cell arrays, mappings are ``containers.Map``."""

from __future__ import annotations

import re
from typing import Any

from nbstep_runner.parameters.languages.base import Language, words


class Matlab(Language):
    """Text is a double-quoted string; ``sprintf`` writes what needs escapes, and so does it in Octave.

    Octave reads the escapes of double-quoted text by itself, MATLAB leaves them to ``sprintf``: the text is the same.
    """

    comment_mark = "%"
    identifier = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")  # namelengthmax is 63
    reserved = words(
        "break case catch classdef continue else elseif end for function global if otherwise parfor persistent return "
        "spmd switch try while"
    )
    null = "[]"
    special = ("NaN", "Inf", "-Inf")
    statement = "{name} = {value};"
    listed = "{{{}}}"
    beyond_doubles = "an integer beyond 2^53 exactly"

    def _text(self, value: str) -> str:
        return _written(value, '"')

    def _key(self, key: Any) -> str:
        """Keys of a map are character vectors."""
        return _written(key, "'") if isinstance(key, str) else super()._key(key)

    def _mapping(self, value: dict[Any, Any]) -> str:
        if not value:
            return "containers.Map()"
        keys = ", ".join(self._key(key) for key in value)
        return f"containers.Map({{{keys}}}, {{{self._items(value.values())}}}, 'UniformValues', false)"


def _written(text: str, quote: str) -> str:
    """A literal, or a call of ``sprintf`` where the text holds what a literal cannot say."""
    if "\\" not in text and text.isprintable():
        return f"{quote}{text.replace(quote, quote * 2)}{quote}"
    arguments = "".join(f", {_coded(character)}" for character in text if _is_unseen(character))
    return f"sprintf({quote}{''.join(_escaped(character, quote) for character in text)}{quote}{arguments})"


def _escaped(character: str, quote: str) -> str:
    """A character in a format of ``sprintf``; octal ones have all digits, so that none after them belongs to them."""
    if character in ("\\", "%", quote):
        return character * 2
    if _is_unseen(character):
        return "%s"
    return character if character.isprintable() else f"\\{ord(character):03o}"


def _is_unseen(character: str) -> bool:
    """Whether it is written by its code: readers and editors may take it for the end of a line, or hide it."""
    return character > "\x7f" and not character.isprintable()


def _coded(character: str) -> str:
    """A character by its UTF-16 codes, which is what MATLAB's text is made of."""
    units = memoryview(character.encode("utf-16-le")).cast("H").tolist()
    return f"char({units[0]})" if len(units) == 1 else f"char([{' '.join(map(str, units))}])"


LANGUAGE = Matlab("MATLAB")
