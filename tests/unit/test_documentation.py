"""What the documentation says of exit codes and rooms is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from nbstep_runner.errors import ExitCode, NbstepError, Retry

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()


def classes(base: type[NbstepError]) -> list[type[NbstepError]]:
    return [base, *(found for derived in base.__subclasses__() for found in classes(derived))]


def test_the_table_of_exit_codes_is_the_one_in_errors() -> None:
    rows = re.findall(r"^\| (\d+) \| ([a-z-]*) ?\| .+? \| ?(\w*) \|$", ARCHITECTURE, re.MULTILINE)
    documented = {(int(code), reference, retry) for code, reference, retry in rows}
    ours = [error for error in classes(NbstepError) if error.__module__ == NbstepError.__module__]
    expected = {(int(error.exit_code), error.reference, str(error.retry)) for error in ours}
    assert documented == expected | {(0, "", "")}
    assert {code for code, _, _ in documented} == set(ExitCode)
    assert {retry for _, _, retry in documented} <= {"", *Retry}


def test_every_room_of_the_runner_is_described() -> None:
    rooms = {path.stem for path in (ROOT / "runner/nbstep_runner").iterdir() if not path.name.startswith(("_", "py."))}
    described = set(re.findall(r"`(\w+)`", ARCHITECTURE.split("### The runner's rooms")[1].split("\n##")[0]))
    assert rooms <= described, f"docs/architecture.md does not describe {rooms - described}"


def test_links_inside_the_documentation_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("notebooks/**/*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#]+)", page.read_text())]
    assert [f"{page}: {link}" for page, link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = [
        page.relative_to(ROOT / "docs").as_posix() for page in ROOT.glob("docs/**/*.md") if page.name != "README.md"
    ]
    assert [page for page in pages if f"]({page})" not in index] == []


def test_the_table_of_where_things_are_names_what_is_there() -> None:
    rows = re.findall(
        r"^\| (.+) \| (`.+) \|$", CONTRIBUTING.split("## Where things are")[1].split("\n## ")[0], re.MULTILINE
    )
    assert len(rows) >= 15
    named = [(task, path) for task, places in rows for path in re.findall(r"`(\w+/[\w./]+)`", places)]
    assert {task for task, _ in named} == {task for task, _ in rows}
    assert [f"{task}: {path}" for task, path in named if not (ROOT / path).exists()] == []


def test_every_room_of_the_launcher_is_described() -> None:
    rooms = {path.stem for path in (ROOT / "pipelines/nbstep").iterdir() if not path.name.startswith(("_", "py."))}
    described = set(re.findall(r"`(\w+)`", ARCHITECTURE.split("### The launcher's rooms")[1].split("## Types")[0]))
    assert rooms <= described, f"docs/architecture.md does not describe {rooms - described}"
