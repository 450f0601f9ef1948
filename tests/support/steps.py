"""Two small steps that pass data on, and the pipeline of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbstep.steps import NotebookStep, notebook_step
from support import notebooks

PREPARE = (
    notebooks.Code(
        "rows: int = 3\nname: str = 'x'\ncolumns: list[int] = [1]\nweights: dict[str, float] = {}\n"
        "limit: int | None = None\nanything = None\ndata_path: str = 'data.txt'\n",
        ("parameters",),
    ),
    (
        "from pathlib import Path\nfrom nbstep_runner import result\n"
        "Path(data_path).write_text('\\n'.join(map(str, range(rows))))\n"
        "result('rows', rows)\nresult('given', repr([rows, name, columns, weights, limit, anything]))\n"
        "result('columns', columns)"
    ),
)
TRAIN = (
    notebooks.Code(
        "data: str\nrows: int\ncolumns: list[int] = []\nfail: bool = False\nmodel_path: str = 'model'\n",
        ("parameters",),
    ),
    (
        "from pathlib import Path\nfrom nbstep_runner import result\nresult('seen', len(columns))\n"
        "lines = Path(data).read_text().split()\nassert len(lines) == rows\n"
        "if fail:\n    raise ValueError('no model today')\n"
        "Path(model_path).mkdir(parents=True)\n(Path(model_path) / 'weights.txt').write_text('7')\nresult('rmse', 0.25)"
    ),
)


def prepare_step(folder: Path, **options: Any) -> NotebookStep:
    """Writes so many rows, and reports what it was given."""
    path = notebooks.write(folder / "prepare.ipynb", PREPARE)
    results = {"rows": int, "given": str, "columns": list}
    return notebook_step(path, **{"image": "image:1", "results": results, "artifacts": {"data": "Dataset"}} | options)


def train_step(folder: Path, **options: Any) -> NotebookStep:
    """Reads the rows; raises if it is told to, else leaves a model."""
    path = notebooks.write(folder / "train.ipynb", TRAIN)
    return notebook_step(
        path, **{"image": "image:1", "results": {"rmse": float}, "artifacts": {"model": "Model"}} | options
    )


def alone(step: NotebookStep) -> Any:
    """One step as a KFP pipeline."""
    from kfp import dsl

    def lonely() -> None:
        step()

    lonely.__annotations__ = {}
    return dsl.pipeline(lonely)


def pipeline(prepare: NotebookStep, train: NotebookStep) -> Any:
    """Both as a KFP pipeline."""
    from kfp import dsl

    def chained(rows: int = 4, fail: bool = False) -> float:
        prepared = prepare(rows=rows, columns=[3, 4], weights={"a": 1}, anything=[5, "b"])
        trained = train(
            data=prepared.outputs["data"], rows=prepared.outputs["rows"], columns=prepared.outputs["columns"], fail=fail
        )
        return trained.outputs["rmse"]

    chained.__annotations__ = {"rows": int, "fail": bool, "return": float}  # kfp reads types, not their text
    return dsl.pipeline(chained)
