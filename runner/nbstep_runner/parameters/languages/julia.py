"""Julia: integers grow as they need to, lists and mappings keep the type of each element."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from nbstep_runner.parameters.languages.base import Language, same_scalars, unicode_escape, words


class Julia(Language):
    r"""``$`` interpolates and ``\x`` means a byte, so both are kept out of text."""

    reserved = words(
        "baremodule begin break catch const continue do else elseif end export false finally for function global if "
        "import let local macro module quote return struct true try using while"
    )
    null = "nothing"
    named: ClassVar[Mapping[str, str]] = {**Language.named, "$": "\\$"}
    numeric = staticmethod(unicode_escape)
    special = ("NaN", "Inf", "-Inf")
    has_tuples = True
    secrets = ("ENV[{0}]", 'replace(read({0}, String), r"\\n\\z" => "")')

    def _sequence(self, value: list[Any]) -> str:
        """Without ``Any`` Julia promotes the elements to one type: ``[true, 2]`` becomes ``[1, 2]``."""
        return f"{'' if same_scalars(value) or not value else 'Any'}[{self._items(value)}]"

    def _mapping(self, value: dict[Any, Any]) -> str:
        pairs = ", ".join(f"{self._key(key)} => {self._literal(item)}" for key, item in value.items())
        return f"Dict({pairs})" if same_scalars(value.values()) else f"Dict{{String, Any}}({pairs})"


LANGUAGE = Julia("Julia")
