"""What is to be swept, checked whole before anything runs, and made into the worker's plan."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

from nbstep.authoring.notebook import read_notebook
from nbstep.profiles.storage import absolute
from nbstep.sweeps.sets import Sources, names_given, run_id, set_name
from nbstep_runner.contract import OUTPUT, ParameterSource, RunSpec, StorageOptions, SweepSpec, UnknownParameters
from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import Resolved, overwritten, read_signature, resolve
from nbstep_runner.stores import join, open_store

MOST_PROBLEMS: Final = 10
MAGIC: Final = ("%", "!", "?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRequest:
    """A sweep, as it is asked for.

    Attributes:
        notebook: A path or a URI.
        sets: What differs from run to run.
        base: What all runs share; a set's own values win.
        output: The folder, a path or a URI, that each run gets a folder in.
        jobs: Runs at once; as many as this process may use CPUs where ``None``.
        cold: Launch every kernel instead of forking it.
        preload: Have ready what the notebook imports.
        spec: Further fields of each ``RunSpec`` by name, such as ``deadlines`` or ``html``.
    """

    notebook: str
    sets: Sequence[Sources]
    output: str
    base: Sources = ()
    jobs: int | None = None
    cold: bool = False
    preload: bool = True
    unknown_parameters: UnknownParameters = UnknownParameters.ERROR
    storage: StorageOptions = field(default_factory=StorageOptions)
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSweep:
    """A sweep that fits its notebook.

    Attributes:
        names: Of the sets, in order; each names its folder.
        plan: The runs, in the same order, as they are made on this machine.
        warnings: What whoever starts it should know.
    """

    names: tuple[str, ...]
    plan: SweepSpec
    warnings: tuple[str, ...] = ()


def prepare(request: SweepRequest) -> PreparedSweep:
    """Read the notebook, check every set against it, and write nothing.

    Raises:
        BadInputError: The notebook is none, a set does not fit it, or two sets are the same.
        InputNotFoundError, StorageDeniedError, StorageUnavailableError: The notebook cannot be read.
    """
    notebook = read_notebook(request.notebook, request.storage).content
    metadata = notebook.get("metadata") or {}
    resolved = _resolved(request, notebook)
    varied = tuple(
        {name: values.as_json()[name] for name in names_given(sources)}
        for sources, values in zip(request.sets, resolved, strict=True)
    )
    names = tuple(map(set_name, varied))
    _check_different(names)
    specs = [_spec(request, name, values) for name, values in zip(names, resolved, strict=True)]
    plan = SweepSpec(
        specs=tuple(specs),
        jobs=request.jobs or len(os.sched_getaffinity(0)),
        kernel=request.spec.get("kernel") or _name(metadata.get("kernelspec")),
        language=request.spec.get("language") or _name(metadata.get("language_info")),
        modules=imported_modules(notebook) if request.preload else (),
        sets=varied,
    )
    warnings = dict.fromkeys(warning for values in resolved for warning in values.warnings)
    spoken = {name: request.spec.get(name) for name in ("language", "kernel")}
    warnings |= dict.fromkeys(overwritten(notebook, [name for values in resolved for name in values.values], **spoken))
    return PreparedSweep(names=names, plan=plan, warnings=tuple(warnings))


def _name(metadata: Any) -> str | None:
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else None


def _resolved(request: SweepRequest, notebook: Mapping[str, Any]) -> list[Resolved]:
    """The values of every set; the problems of all sets are told together."""
    signature = read_signature(notebook, language=request.spec.get("language"), kernel=request.spec.get("kernel"))
    read = cache(lambda uri: open_store(uri, request.storage).read(uri).data)
    found: list[Resolved] = []
    problems: list[BadInputError] = []
    for number, sources in enumerate(request.sets, 1):
        try:
            found.append(resolve((*request.base, *sources), read, signature, unknown=request.unknown_parameters))
        except BadInputError as error:
            error.message = f"set {number}: {error.message}"
            problems.append(error)
    if problems:
        raise _refused(problems, len(request.sets))
    return found


def _refused(problems: list[BadInputError], count: int) -> BadInputError:
    left_out = len(problems) - MOST_PROBLEMS
    lines = [problem.message.replace("\n", "\n  ") for problem in problems[:MOST_PROBLEMS]]
    lines += [f"and {left_out} more sets"] if left_out > 0 else []
    message = f"{len(problems)} of {count} parameter sets are refused, and nothing was run:"
    return BadInputError("\n  - ".join([message, *lines]), hint=problems[0].hint)


def _check_different(names: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if name in first:
            raise BadInputError(
                f"the parameter sets {first[name]} and {number} are the same: {name}", hint="Leave one of them out."
            )
        first[name] = number


def _spec(request: SweepRequest, name: str, values: Resolved) -> RunSpec:
    output = join(absolute(request.output), f"{name}/{OUTPUT}")
    source = request.notebook if "://" in request.notebook else absolute(request.notebook)
    spec = RunSpec(run_id=run_id(name, output), input_uri=source, output_uri=output)
    return replace(
        spec,
        parameters=(ParameterSource.values(values.as_json()),) if values.values else (),
        unknown_parameters=request.unknown_parameters,
        storage=request.storage,
        **request.spec,
    )


def imported_modules(notebook: Mapping[str, Any]) -> tuple[str, ...]:
    """The modules of the import statements at the top level of a Python notebook's cells, in order, each once.

    ``from a.b import c`` counts as ``a.b.c``, which may be a module or something in ``a.b``. Lines of IPython's own
    syntax are passed over, and so are cells that are not Python otherwise.
    """
    found = (name for cell in notebook.get("cells", ()) for name in _of_cell(cell))
    return tuple(dict.fromkeys(name for name in found if name != "__future__" and not name.startswith("__future__.")))


def _of_cell(cell: Mapping[str, Any]) -> Iterator[str]:
    source = cell.get("source", "")
    text = source if isinstance(source, str) else "".join(map(str, source))
    if cell.get("cell_type") != "code" or text.lstrip().startswith("%%"):
        return
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(MAGIC))
    try:
        tree = ast.parse(plain)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            for alias in statement.names:
                yield statement.module if alias.name == "*" else f"{statement.module}.{alias.name}"
