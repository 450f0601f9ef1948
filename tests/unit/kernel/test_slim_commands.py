"""A ``%cd`` that failed is told, and no other, whatever its line looks like."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from IPython.core.magics.osm import OSMagics

from nbstep_runner.kernel.slim_commands import _attend_to_cd

if TYPE_CHECKING:
    import pytest


class Shell(SimpleNamespace):
    """As much of a shell as IPython's own ``%cd`` needs: a whole one takes the place of this process's ``__main__``."""

    def __init__(self, home: Path) -> None:
        super().__init__(user_ns={"_dh": []}, db={}, home_dir=str(home), configurables=[], dir_stack=[])
        magics = cast("Any", OSMagics)(shell=self)
        self.magics: dict[str, Any] = {"cd": magics.cd, "pushd": magics.pushd, "popd": magics.popd}
        self.find_line_magic = self.magics.__getitem__

    def run_line_magic(self, name: str, _line: str) -> None:
        """``%pushd`` shows the stack."""
        assert name == "dirs"

    def register_magic_function(self, magic: Any, _kind: str, name: str) -> None:
        self.magics[name] = magic


def test_a_cd_is_told_where_the_folder_could_not_be_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my dir").mkdir()
    monkeypatch.chdir(tmp_path)
    shell, told, enter = Shell(tmp_path), [], os.chdir
    shell.db["bookmarks"] = {"here": str(tmp_path)}
    held = len(shell.configurables)
    _attend_to_cd(shell, lambda command, status: told.append((command, status)))
    cd = shell.find_line_magic("cd")
    for line in ("here", "-b here", "-q .", "my\\ dir", f"{tmp_path}/my\\ dir", f"'{tmp_path}/my dir'", "-", ""):
        cd(line)
    assert told == []
    assert Path.cwd() == tmp_path
    for line in ("missing", "-q missing", "-q 'my dir'/missing"):
        cd(line)
    assert told == [(f"%cd {line}", 1) for line in ("missing", "-q missing", "-q 'my dir'/missing")]
    assert (os.chdir, len(shell.configurables)) == (enter, held)
    assert cd.__doc__ == OSMagics.cd.__doc__


def test_so_is_a_pushd_or_popd_and_a_cd_to_what_the_history_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    shell, told = Shell(Path.home()), list[tuple[str, int]]()
    _attend_to_cd(shell, lambda command, status: told.append((command, status)))
    shell.magics["pushd"]("there")
    shell.magics["popd"]()
    assert (told, Path.cwd()) == ([], tmp_path)
    shell.magics["pushd"]("missing")
    shell.magics["cd"]("-9")
    assert told == [("%cd missing", 1), ("%cd -9", 1)]
    shell.dir_stack[:] = ["/gone"]
    shell.magics["popd"]()
    assert told[2:] == [("%cd /gone", 1)]


def test_a_cd_of_a_startup_file_is_attended_to_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shell, told = Shell(tmp_path), list[tuple[str, int]]()
    shell.magics["cd"] = lambda line: os.chdir(line) if Path(line).is_dir() else None
    _attend_to_cd(shell, lambda command, status: told.append((command, status)))
    for line in (str(tmp_path), "missing"):
        shell.magics["cd"](line)
    assert told == [("%cd missing", 1)]
