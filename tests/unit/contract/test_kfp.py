"""What Kubeflow Pipelines carries as what it is, and what not."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.contract import KFP_TYPES, beyond_utf8mb3, is_of_kfp_type, lost_on_the_way


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        (1, {"NUMBER_INTEGER", "NUMBER_DOUBLE"}),
        (1.5, {"NUMBER_DOUBLE"}),
        (True, {"BOOLEAN"}),
        ("1", {"STRING"}),
        ([1], {"LIST"}),
        ({"a": 1}, {"STRUCT"}),
        (None, set()),
    ],
)
def test_types(value: Any, kinds: set[str]) -> None:
    assert {kind for kind in KFP_TYPES if is_of_kfp_type(value, kind)} == kinds


@pytest.mark.fault(69)
@pytest.mark.parametrize(
    ("value", "lost"),
    [
        (2**53 + 1, "a number that KFP does not carry: beyond 2**53"),
        ({"a": [1, -(2**60)]}, "beyond 2**53"),
        ([math.nan], "NaN"),
        (-math.inf, "infinite"),
        ("run {{workflow.name}}", "the text '{{workflow.name}}', which Argo replaces"),
        (["{{ pod.name }}"], "the text '{{ pod.name }}', which Argo replaces"),
        ("{{=1+1}}", "which Argo replaces"),
        ("{{item}}", "which Argo replaces"),
        ("{{ item.name }}", "which Argo replaces"),
        ("{{tasks}}", "which Argo replaces"),
        ("{{inputs.parameters.name", "which Argo replaces"),
        ("{{a {{retries}}", "which Argo replaces"),
        ("{{$.inputs.parameters['x']}}", "which Argo replaces"),
        ({"{{workflow.name}}": 1}, "which Argo replaces"),
        ("costs $$5", "the text '$$5', which Kubernetes replaces"),
        ("$(KFP_POD_NAME)", "which Kubernetes replaces"),
        ("\ud83c", "half a character"),
    ],
)
def test_what_is_lost(value: Any, lost: str) -> None:
    assert lost in lost_on_the_way(value)


@pytest.mark.fault(69)
@pytest.mark.parametrize(
    "value",
    [
        2**53,
        0.1,
        True,
        None,
        "Dear {{name}}, {% if x %}{{ x }}{% endif %} {{ items }} {{#each steps}}",
        'it\'s "quoted" \\ $HOME $(ls) %s {a} }} {{}} $5 { {workflow.name}}',
        "{{$.pipeline_job_name}}",
        "é 漢字 🎉",
        [{"a": [1, {"b": "c"}]}],
    ],
)
def test_what_arrives(value: Any) -> None:
    assert lost_on_the_way(value) == ""


@given(st.text())
def test_characters_that_its_database_has_not(text: str) -> None:
    assert beyond_utf8mb3([text]) == any(ord(one) > 0xFFFF for one in text)
