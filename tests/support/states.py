"""State folders in tests: what they hold, a save and a restore as two attempts make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from nbstep_runner.state.generations import Generation, Shelf
from nbstep_runner.state.restoring import Restored, restore
from nbstep_runner.state.saving import Saver
from nbstep_runner.stores import Store

ROOT = "memory://runs/out.state/"
TEMPLATE = Generation(number=0, run_id="run", attempt=1, content="work", saved_at="", files=(), folders=())
LARGEST = 10**9


def fill(folder: Path, files: Mapping[str, bytes]) -> None:
    """Let a folder hold exactly these files, each written whole."""
    for path in sorted(folder.rglob("*"), reverse=True):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in files:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != data:
            path.unlink(missing_ok=True)
            path.write_bytes(data)


def held(folder: Path) -> dict[str, bytes]:
    """What a folder holds."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Attempt:
    """One attempt at a run: its folder, restored from a store, and its saver."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        *,
        root: str = ROOT,
        confirm: Callable[[], None] = lambda: None,
        largest: int = LARGEST,
    ) -> None:
        folder.mkdir()
        self.folder = folder
        self.warnings: list[str] = []
        self.shelf = Shelf(store, root)
        self.shelf.look()
        self.found: Restored = restore(
            self.shelf, folder, wanted=lambda _: True, largest=largest, warn=self.warnings.append
        )
        self.saver = Saver(
            self.shelf,
            folder,
            TEMPLATE,
            restored=self.found.generation,
            spared=None,
            largest=largest,
            confirm=confirm,
            warn=self.warnings.append,
        )

    def save(self, files: Mapping[str, bytes]) -> Generation | None:
        """Fill the folder, save it, and remove what is older."""
        fill(self.folder, files)
        saved = self.saver.save()
        self.saver.tidy()
        return saved
