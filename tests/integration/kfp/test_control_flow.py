"""Steps among what kfp has for control flow: compiled, checked against the proto, and run on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import compiler, dsl
from kfp.pipeline_spec import pipeline_spec_pb2

from nbstep.steps import NotebookStep
from nbstep.steps.kfp import local_runs, notebook_step
from nbstep_runner.contract import RunResult, decode
from nbstep_runner.errors import BadInputError
from support import notebooks

CELL = (
    "n: int\nname: str = 'a'\nrate: float = 0.5\nnumbers: list[int] = []\nlimit: int | None = None\n"
    "conf: dict[str, list[int]] = {'a': [1]}\nmost: int | None = 5\neither: int | str = 'x'\n"
)
BODY = (
    "from nbstep_runner import result\nresult('twice', n * 2)\nresult('numbers', [n, n + 1])\n"
    "result('seen', repr([n, name, rate, numbers, limit, conf, most, either]))\nresult('kept', 1)"
)


def work(folder: Path, **options: Any) -> NotebookStep:
    path = notebooks.write(folder / "work.ipynb", [notebooks.Code(CELL, ("parameters",)), BODY])
    results = {"twice": int, "numbers": list, "seen": str, "kept": int}
    return notebook_step(path, image="image:1", html=False, results=results, **options)


def pipeline(body: Callable[[], None]) -> Any:
    body.__annotations__ = {}
    return dsl.pipeline(body)


def compiled(folder: Path, body: Callable[[], None]) -> pipeline_spec_pb2.PipelineSpec:
    file = folder / "pipeline.yaml"
    compiler.Compiler().compile(pipeline(body), str(file))
    return json_format.ParseDict(yaml.safe_load(file.read_text()), pipeline_spec_pb2.PipelineSpec())


def seen(runs: Path) -> list[Any]:
    """What the runs below a folder were given, in no order of theirs."""
    records = (decode(file.read_bytes(), RunResult) for file in runs.rglob("output.result.json"))
    return sorted(str(one.results["seen"]) for one in records)


def test_a_loop_runs_a_step_for_each_item_and_its_results_are_collected(folder: Path) -> None:
    step = work(folder)

    def looped() -> None:
        with dsl.ParallelFor([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]) as item:
            each = step(n=item.a, name=item.b)
        step(n=3, numbers=dsl.Collected(each.outputs["twice"]))

    compiled(folder, looped)
    with local_runs(folder / "runs"):
        pipeline(looped)()
    assert seen(folder / "runs") == [
        "[1, 'x', 0.5, [], None, {'a': [1]}, 5, 'x']",
        "[2, 'y', 0.5, [], None, {'a': [1]}, 5, 'x']",
        "[3, 'a', 0.5, [2, 4], None, {'a': [1]}, 5, 'x']",
    ]


def test_the_artifacts_of_a_loop_are_refused(folder: Path) -> None:
    step = work(folder)

    def looped() -> None:
        with dsl.ParallelFor([1, 2]) as item:
            each = step(n=item)
        step(n=3, name=dsl.Collected(each.outputs["notebook"]))

    with pytest.raises(BadInputError, match="no parameter takes the artifacts of a whole loop"):
        pipeline(looped)


def test_a_loop_over_what_a_step_found(folder: Path) -> None:
    step = work(folder)

    def looped() -> None:
        first = step(n=7)
        with dsl.ParallelFor(first.outputs["numbers"]) as number:
            step(n=number, name="loop")

    assert "for-loop-1" in str(compiled(folder, looped).root.dag)


def test_a_condition_chooses_a_step(folder: Path) -> None:
    step = work(folder)

    def chosen() -> None:
        first = step(n=1)
        with dsl.If(first.outputs["twice"] > 1):
            yes = step(n=first.outputs["twice"], rate=first.outputs["twice"], name="yes")
        with dsl.Else():
            no = step(n=9, name="no")
        step(n=dsl.OneOf(yes.outputs["twice"], no.outputs["twice"]))

    compiled(folder, chosen)

    def run() -> None:
        first = step(n=1)
        with dsl.If(first.outputs["twice"] > 1):
            step(n=first.outputs["twice"], rate=first.outputs["twice"], name="yes")
        with dsl.Else():
            step(n=9, name="no")

    with local_runs(folder / "runs"):
        pipeline(run)()
    assert seen(folder / "runs") == [
        "[1, 'a', 0.5, [], None, {'a': [1]}, 5, 'x']",
        "[2, 'yes', 2.0, [], None, {'a': [1]}, 5, 'x']",
    ]


def test_values_of_earlier_steps_inside_texts(folder: Path) -> None:
    step = work(folder)

    def woven() -> None:
        first = step(n=1)
        step(n=2, name=f"{first.outputs['twice']} after {first.outputs['seen']}", either=first.outputs["twice"])

    compiled(folder, woven)
    with local_runs(folder / "runs"):
        pipeline(woven)()
    given = "[1, 'a', 0.5, [], None, {'a': [1]}, 5, 'x']"
    assert seen(folder / "runs")[1] == repr([2, f"2 after {given}", 0.5, [], None, {"a": [1]}, 5, 2])


def test_outputs_inside_lists_are_refused(folder: Path) -> None:
    step = work(folder)

    def woven() -> None:
        step(n=2, numbers=[step(n=1).outputs["twice"], 3])

    with pytest.raises(BadInputError, match="which KFP would pass as text"):
        pipeline(woven)


def test_fixed_none_and_structures_as_defaults_reach_the_notebook(folder: Path) -> None:
    step = work(folder, values={"most": None, "rate": float("inf")})

    def fixed() -> None:
        step(n=1, limit=None)

    with local_runs(folder / "runs"):
        pipeline(fixed)()
    assert seen(folder / "runs") == ["[1, 'a', inf, [], None, {'a': [1]}, None, 'x']"]


def test_tasks_take_all_that_kfp_sets(folder: Path) -> None:
    step = work(folder)

    def told() -> None:
        first = step(n=1).set_caching_options(enable_caching=False).set_retry(3, backoff_duration="10s")
        step(n=2).after(first.set_display_name("First")).set_env_variable("A", "b").set_display_name("Second")

    spec = compiled(folder, told)
    first, second = spec.root.dag.tasks["work"], spec.root.dag.tasks["work-2"]
    assert (first.task_info.name, first.caching_options.enable_cache, first.retry_policy.max_retry_count) == (
        "First",
        False,
        3,
    )
    assert (second.task_info.name, list(second.dependent_tasks)) == ("Second", ["work"])


def test_a_step_can_run_whatever_became_of_an_earlier_one(folder: Path) -> None:
    step = work(folder)

    def ignored() -> None:
        first = step(n=1)
        step(n=2).after(first).ignore_upstream_failure()

    spec = compiled(folder, ignored)
    strategy = pipeline_spec_pb2.PipelineTaskSpec.TriggerPolicy.TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED
    assert spec.root.dag.tasks["work-2"].trigger_policy.strategy == strategy


def test_a_pipeline_may_be_a_step_of_another(folder: Path) -> None:
    step = work(folder)

    def inner(n: int) -> int:
        return step(n=n).outputs["twice"]

    inner.__annotations__ = {"n": int, "return": int}
    doubled = dsl.pipeline(inner)

    def outer() -> None:
        step(n=doubled(n=2).output)

    with local_runs(folder / "runs"):
        pipeline(outer)()
    assert [text[:3] for text in seen(folder / "runs")] == ["[2,", "[4,"]


def test_a_step_can_clean_up(folder: Path) -> None:
    step = work(folder)

    def cleaned() -> None:
        with dsl.ExitHandler(step(n=1, name="clean")):
            step(n=2)

    with local_runs(folder / "runs"):
        pipeline(cleaned)()
    assert len(seen(folder / "runs")) == 2


def test_a_type_that_does_not_fit_is_refused_in_words(folder: Path) -> None:
    step = work(folder)

    def wrong() -> None:
        step(n=step(n=1).outputs["seen"])

    with pytest.raises(BadInputError, match="n of step work takes int, but is given str"):
        pipeline(wrong)


def test_a_whole_pipelines_int_may_be_a_steps_float(folder: Path) -> None:
    step = work(folder)

    def typed(whole: int = 3) -> None:
        step(n=whole, rate=whole)

    typed.__annotations__ = {"whole": int}
    with local_runs(folder / "runs"):
        dsl.pipeline(typed)()
    assert seen(folder / "runs") == ["[3, 'a', 3.0, [], None, {'a': [1]}, 5, 'x']"]


@pytest.mark.fault(69)
@pytest.mark.parametrize(
    "items", [["a", "{{workflow.name}}"], [{"text": "a"}, {"text": "$(KFP_POD_NAME)"}], [1.0, 2**60]]
)
def test_the_items_of_a_loop_have_to_pass_the_engine_too(folder: Path, items: list[Any]) -> None:
    step = notebook_step(
        notebooks.write(folder / "n.ipynb", [notebooks.Code("text: str | int = ''", ("parameters",))]),
        image="image:1",
        html=False,
    )

    def looped() -> None:
        with dsl.ParallelFor(items) as item:
            step(text=item.text if isinstance(items[0], dict) else item)

    looped.__annotations__ = {}
    with pytest.raises(BadInputError, match="text of step n is given the items of a loop, which hold"):
        dsl.pipeline(looped)
