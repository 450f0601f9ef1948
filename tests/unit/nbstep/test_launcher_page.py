"""What the page on launchers says is what the launcher does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import yaml

import nbstep
from nbstep import errors
from nbstep.profiles import BuildOptions, DockerOptions, Profile, Resources, load_profile
from nbstep.profiles.kubernetes import KubernetesOptions
from nbstep_runner.contract import Deadlines, StorageOptions
from nbstep_runner.errors import NbstepError
from support import notebooks

if TYPE_CHECKING:
    import pytest

DOCS = Path(__file__).parents[3] / "docs"
LAUNCHER, KUBERNETES = (DOCS / "launcher.md").read_text(), (DOCS / "kubernetes.md").read_text()


def test_every_error_is_described() -> None:
    rows = re.findall(r"^\| (\d+) \| ([a-z-]+) \|", LAUNCHER, re.MULTILINE)
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, NbstepError)]
    own = {(str(int(kind.exit_code)), kind.reference) for kind in kinds if kind.__module__ == errors.__name__}
    assert set(rows) == own


def test_every_field_of_a_profile_is_described() -> None:
    names = [
        field.name
        for kind in (Profile, Resources, DockerOptions, BuildOptions)
        for field in msgspec.structs.fields(kind)
    ]
    names += [field.name for kind in (Deadlines, StorageOptions) for field in fields(kind)]
    assert [name for name in names if f"`{name}`" not in LAUNCHER] == []
    cluster = [field.name for field in msgspec.structs.fields(KubernetesOptions)]
    assert [name for name in cluster if f"`{name}`" not in KUBERNETES] == []


def test_the_profiles_of_the_page_are_valid(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(default:.*?)```", LAUNCHER, re.DOTALL)
    file = tmp_path / "nbstep.yaml"
    file.write_text(text)
    for name in yaml.safe_load(text)["profiles"]:
        assert load_profile(name, {}, path=str(file)).runs
    assert load_profile(None, {}, path=str(file)).on == "local"


def test_the_example_of_a_test_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = re.findall(r"```python\n(run = nbstep\.submit.*?)```", LAUNCHER, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    notebooks.write(Path("train.ipynb"), [notebooks.Code("rate: float = 0.5", tags=("parameters",))])
    exec(source, {"nbstep": nbstep})  # noqa: S102 - the page's own example
