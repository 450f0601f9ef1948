"""Pipelines in files of Python: found and compiled."""

from __future__ import annotations

import sys
import tempfile
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

from kfp import compiler
from kfp.dsl import graph_component

from nbstep_runner.errors import BadInputError, InputNotFoundError, NbstepError


def compile_pipeline(file: str, name: str | None = None) -> str:
    """The YAML of a pipeline that a file defines. The file is imported, so its code runs.

    Args:
        file: A Python file with a function under ``@dsl.pipeline``.
        name: The function's, where there are several.

    Raises:
        BadInputError: The file cannot be imported, or does not define that pipeline.
        InputNotFoundError: There is no such file.
    """
    pipeline = _chosen(_import(Path(file)), file, name)
    with tempfile.TemporaryDirectory(prefix="nbstep-") as folder:
        place = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(place))
        return place.read_text()


def _import(file: Path) -> ModuleType:
    if not file.is_file():
        raise InputNotFoundError(f"there is no file {file}")
    spec = util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise BadInputError(f"{file} is not a Python file", hint="Give a file that ends with .py.")
    module = util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except NbstepError:
        raise
    except Exception as error:
        raise BadInputError(
            f"{file} cannot be imported: {type(error).__name__}: {error}", hint=f"Try: python {file}"
        ) from error
    finally:
        sys.path.remove(str(file.parent.resolve()))
    return module


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
