"""Which language a notebook is written in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CANONICAL = {
    "python": ("python", "python2", "python3", "ipython", "pyspark", "pysparkkernel", "xpython", "xeus-python"),
    "R": ("r", "ir", "xr", "sparkr", "sparkrkernel"),
    "bash": ("bash",),
    "julia": ("julia",),
    "scala": ("scala", "spark", "sparkkernel", "almond"),
    "matlab": ("matlab", "imatlab", "jupyter_matlab_kernel"),
    "csharp": ("c#", "csharp", ".net-csharp"),
    "javascript": ("javascript", "js", "jslab", "ijavascript"),
    "typescript": ("typescript", "ts", "tslab", "deno"),
    "fsharp": ("f#", "fsharp", ".net-fsharp"),
    "powershell": ("powershell", "pwsh", ".net-powershell", ".net-pwsh"),
}
_LANGUAGE_OF = {alias: language for language, aliases in _CANONICAL.items() for alias in aliases}


def canonical_language(name: str) -> str | None:
    """The language that a language's or a well-known kernel's name stands for; ``None`` for other names."""
    lowered = name.lower()
    return _LANGUAGE_OF.get(lowered) or ("julia" if lowered.startswith("julia-") else None)


def notebook_kernel(notebook: Mapping[str, Any]) -> str | None:
    """The name of the kernel that the notebook asks for."""
    name = _metadata(notebook, "kernelspec").get("name")
    return name if isinstance(name, str) and name else None


def notebook_language(notebook: Mapping[str, Any], *, kernel: str | None = None, language: str | None = None) -> str:
    """The language of a notebook, as ``canonical_language`` spells it where it is known.

    What decides, first to last: ``language``; a well-known ``kernel``; the notebook's kernel if it is well known;
    its ``language_info``; its kernelspec's language; else Python.
    """
    if language:
        return canonical_language(language) or language
    for name in (kernel, notebook_kernel(notebook)):
        if name and (known := canonical_language(name)):
            return known
    named = _metadata(notebook, "language_info").get("name") or _metadata(notebook, "kernelspec").get("language")
    if not isinstance(named, str) or not named:
        return "python"
    return canonical_language(named) or named


def _metadata(notebook: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    metadata = notebook.get("metadata")
    found = metadata.get(key) if isinstance(metadata, Mapping) else None
    return found if isinstance(found, Mapping) else {}
