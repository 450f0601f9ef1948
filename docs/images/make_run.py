"""Makes ``run.svg``, the picture of a run, from a real one: ``.venv/bin/python docs/images/make_run.py``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from nbstep.views.terminal import RunView

ROOT = Path(__file__).parents[2]
RUNNER = Path(sys.executable).with_name("nbstep-runner")
RUN = ["notebooks/flights.ipynb", "demo/flights.ipynb", "notebooks/flights.params.yaml", "--html"]


def main() -> None:
    """Run the flights example and draw what a terminal shows of it."""
    console = Console(record=True, file=StringIO(), width=100)
    console.print(f"[bold]$[/] nbstep run {' '.join(RUN)}", highlight=False)
    command: list[str] = [str(RUNNER), *RUN, "--log-format", "json"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "notebooks").symlink_to(ROOT / "notebooks")
        environment = os.environ | {"MODEL_DIR": "demo/model"}
        runner = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE)  # noqa: S603 - the runner itself, no shell
        with runner, RunView(console) as view:
            for line in runner.stdout or ():
                view.feed(line)
    # rich's template fetches its font from elsewhere; the reader's own monospace font does as well
    picture = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="nbstep run", theme=MONOKAI), flags=re.DOTALL)
    Path(__file__).with_name("run.svg").write_text(picture.replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas"))
    sys.exit(runner.returncode)


if __name__ == "__main__":
    main()
