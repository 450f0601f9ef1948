"""Pipelines in files of Python: found and compiled."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import util
from importlib.abc import Loader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import yaml
from kfp import compiler
from kfp.dsl import graph_component

from nbstep.steps.sizes import check_stored, held_by
from nbstep_runner.errors import BadInputError, InputNotFoundError, NbstepError

MODULE: Final = "nbstep_pipeline_file"
"""A name that no module of the user's has, whatever the file is called."""


def compile_pipeline(file: str, name: str | None = None) -> str:
    """The YAML of a pipeline that a file defines. The file is imported, so its code runs.

    Args:
        file: A Python file with a function under ``@dsl.pipeline``.
        name: The function's, where there are several.

    Raises:
        BadInputError: The file cannot be imported, or does not define that pipeline, or Argo cannot store it.
        InputNotFoundError: There is no such file.
    """
    with _imported(Path(file)) as module, tempfile.TemporaryDirectory(prefix="nbstep-") as folder:
        place = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(_chosen(module, file, name), str(place))
        text = place.read_text()
    check_stored(held_by(next(yaml.safe_load_all(text))))
    return text


@contextmanager
def _imported(file: Path) -> Iterator[ModuleType]:
    """The file as a module, which dataclasses and pickles find under its name while the context lasts."""
    if not file.is_file():
        raise InputNotFoundError(f"there is no file {file}")
    spec = util.spec_from_file_location(MODULE, file)
    if spec is None or spec.loader is None:
        raise BadInputError(f"{file} is not a Python file", hint="Give a file that ends with .py.")
    module = util.module_from_spec(spec)
    folder = str(file.parent.resolve())
    sys.modules[MODULE] = module
    sys.path.insert(0, folder)
    try:
        _execute(spec.loader, module, file)
        yield module
    finally:
        del sys.modules[MODULE]
        with suppress(ValueError):  # the file may have taken it away
            sys.path.remove(folder)


def _execute(loader: Loader, module: ModuleType, file: Path) -> None:
    try:
        loader.exec_module(module)
    except NbstepError:
        raise
    except (Exception, SystemExit) as error:
        raise BadInputError(
            f"{file} cannot be imported: {type(error).__name__}: {error}", hint=f"Try: python {file}"
        ) from error


def _chosen(module: ModuleType, file: str, name: str | None) -> Any:
    found = {key: one for key, one in vars(module).items() if isinstance(one, graph_component.GraphComponent)}
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name in found:
        return found[name]
    listed = ", ".join(found) or "none"
    raise BadInputError(
        f"{file} defines {len(found)} pipelines ({listed})" if name is None else f"{file} defines no pipeline {name!r}",
        hint=f"Name one: {file}:{next(iter(found))}." if found else "Put @dsl.pipeline above the pipeline's function.",
    )
