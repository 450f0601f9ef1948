"""How each language writes a parameter: valid names, literals, and secrets read at run time.

papermill's translators are the model: simple values come out as papermill writes them. What differs is what they get
wrong, namely text that a language unescapes, interpolates or decodes in its own way, numbers beyond its literals, and
lists whose elements it would convert to one type. A value that a language cannot hold is refused. Each language here is
one whose compiler or interpreter has read its values back in the tests; others are refused.
"""

from __future__ import annotations

from importlib import import_module

from nbstep_runner.parameters.language import canonical_language
from nbstep_runner.parameters.languages.base import Language, UnwrittenLanguage

_MODULES = {
    "python": "python",
    "R": "r",
    "bash": "bash",
    "julia": "julia",
    "scala": "scala",
    "matlab": "matlab",
    "csharp": "csharp",
    "javascript": "javascript",
    "typescript": "javascript",
}


def find_language(name: str) -> Language:
    """The language of that name; one that writes nothing, but knows safe names, where it is not known."""
    module = _MODULES.get(canonical_language(name) or "")
    if module is None:
        return UnwrittenLanguage(name)
    found: Language = import_module(f"{__name__}.{module}").LANGUAGE
    return found
