"""The options of ``nbstep-runner``: papermill's, with papermill's meaning, and those that papermill has no word for.

Every option can be given by the environment as ``NBSTEP_`` and its long name in capitals.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

import click

from nbstep_runner.cli.cell_options import CELLS, HTML_ALLOW, KERNEL_NAME
from nbstep_runner.cli.parameter_options import UNKNOWN_PARAMETERS, parameter_options
from nbstep_runner.cli.sections import section

FACTORS: Final = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
SIZE: Final = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>[kmg]?)i?b?")
NEXT_ATTEMPT: Final = 0
"""For whoever starts a run again and does not know how often it was begun."""
LONGEST_SECONDS: Final = 1e9
"""Thirty years; what waits for much longer overflows the time of the operating system's calls."""


class Size(click.ParamType[int]):
    """A number of bytes: ``1000``, ``64k``, ``16M``, ``1G`` (powers of 1024)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        if isinstance(value, int):
            return value
        found = SIZE.fullmatch(str(value).strip().lower())
        if found is None:
            self.fail(f"{value!r} is not a size such as 16M", param, ctx)
        size = float(found["number"]) * FACTORS[found["unit"]]
        if math.isinf(size):
            self.fail(f"{value!r} is larger than any memory", param, ctx)
        return int(size)


class Seconds(click.FloatRange):
    """A number of seconds that can be waited for: ``nan`` is none, although no comparison refuses it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number of seconds."""
        seconds = float(super().convert(value, param, ctx))
        if not seconds <= LONGEST_SECONDS:
            self.fail(f"{value!r} is not a number of seconds up to {LONGEST_SECONDS:.0f}", param, ctx)
        return seconds


class Attempt(click.ParamType[int]):
    """A whole number from 1, or ``next``, which is :data:`NEXT_ATTEMPT`."""

    name = "number|next"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, :data:`NEXT_ATTEMPT` for ``next``."""
        if value == "next":
            return NEXT_ATTEMPT
        return click.IntRange(min=1).convert(value, param, ctx)


class Label(click.ParamType[tuple[str, str]]):
    """``KEY=VALUE``."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The key and the value."""
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key, text


SECONDS: Final = Seconds(min=0)
POSITIVE: Final = Seconds(min=0, min_open=True)

PARAMETERS: Final = section(
    "Parameters",
    *parameter_options(),
    click.option("-b", "--parameters_base64", multiple=True, metavar="BASE64", help="Parameters as base64 of YAML."),
    click.option("--inject-input-path", is_flag=True, help="Give the notebook PAPERMILL_INPUT_PATH."),
    click.option("--inject-output-path", is_flag=True, help="Give the notebook PAPERMILL_OUTPUT_PATH."),
    click.option("--inject-paths", is_flag=True, help="Give the notebook both paths."),
    UNKNOWN_PARAMETERS,
)

KERNEL: Final = section(
    "Kernel",
    KERNEL_NAME,
    click.option("-l", "--language", help="The notebook's language, whatever the notebook says."),
    click.option("--cwd", type=click.Path(exists=True, file_okay=False), help="The kernel's working directory."),
    click.option("--prepare-only/--prepare-execute", default=False, help="Inject the parameters, run nothing."),
    click.option("--report-mode/--no-report-mode", default=False, help="Hide the input of cells."),
    *CELLS,
    click.option("--stock-kernel", is_flag=True, help="Launch the kernel exactly as its kernelspec says."),
)

LIMITS: Final = section(
    "Limits",
    click.option(
        "--start-timeout",
        "--start_timeout",
        type=POSITIVE,
        default=60.0,
        show_default=True,
        help="Seconds for the kernel to start.",
    ),
    click.option("--execution-timeout", type=POSITIVE, help="Seconds for each cell."),
    click.option("--run-timeout", type=POSITIVE, help="Seconds for all cells together."),
    click.option("--stall-timeout", type=SECONDS, help="Seconds without a sign of life from the kernel; 0: no limit."),
    click.option(
        "--shutdown-timeout", type=SECONDS, default=5.0, show_default=True, help="Seconds for the kernel to exit."
    ),
    click.option(
        "--grace-period", type=POSITIVE, default=25.0, show_default=True, help="Seconds from SIGTERM to the end."
    ),
    click.option(
        "--short-notice/--no-short-notice",
        default=False,
        help="After SIGTERM publish at once: less than a second may be left.",
    ),
    click.option(
        "--text-output-limit", type=Size(), default="4M", show_default=True, help="Output kept of one printed text."
    ),
    click.option("--cell-output-limit", type=Size(), default="16M", show_default=True, help="Output kept of a cell."),
    click.option(
        "--notebook-output-limit", type=Size(), default="512M", show_default=True, help="Output kept of a notebook."
    ),
)

OUTPUT: Final = section(
    "Output",
    click.option("--html/--no-html", default=False, help="Write the executed notebook as HTML too."),
    HTML_ALLOW,
    click.option(
        "--autosave-cell-every",
        type=SECONDS,
        default=30.0,
        show_default=True,
        help="Seconds between partial notebooks in storage; 0: none.",
    ),
    click.option(
        "--collect",
        multiple=True,
        metavar="PATTERN",
        help="Store files that the notebook writes: '*.csv', 'plots/**/*.png', 'model/'.",
    ),
    click.option("--stdout-file", type=click.Path(dir_okay=False), help="A file for what the notebook prints."),
    click.option("--stderr-file", type=click.Path(dir_okay=False), help="A file for what it prints to stderr."),
    click.option("--record-file", type=click.Path(dir_okay=False), help="A local file for a copy of the record."),
    click.option(
        "--log-format",
        type=click.Choice(["auto", "console", "json"]),
        default="auto",
        show_default=True,
        help="How the log looks; auto: console on a terminal, else json.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors only; the stored log has everything."),
)

IDENTITY: Final = section(
    "Identity",
    click.option("--run-id", help="Names the run; retries of the same work keep it."),
    click.option(
        "--attempt",
        type=Attempt(),
        default=1,
        show_default=True,
        help="Which attempt this is; next: one more than the run's record says.",
    ),
    click.option(
        "--label", "labels", type=Label(), multiple=True, envvar="NBSTEP_LABEL", help="A label to find the run by."
    ),
    click.option("--force", is_flag=True, help="Run even if this very run has already ended; begin without its state."),
)

STATE: Final = section(
    "State",
    click.option(
        "--keep-state/--no-keep-state",
        "state",
        default=False,
        envvar="NBSTEP_KEEP_STATE",
        help="Keep the folder NBSTEP_STATE_DIR from attempt to attempt.",
    ),
    click.option(
        "--resume", is_flag=True, help="Run a failed run again from its newest state, also with a mended notebook."
    ),
    click.option(
        "--state-limit",
        type=Size(),
        default="10G",
        show_default=True,
        help="What the state folder may hold to be saved.",
    ),
)

STORAGE: Final = section(
    "Storage",
    click.option(
        "--retry-seconds", type=SECONDS, default=120.0, show_default=True, help="Seconds to retry a storage operation."
    ),
    click.option("--allow-private-addresses", is_flag=True, help="Let http(s) reach loopback and private addresses."),
    click.option("--project", help="The project billed for requester-pays buckets."),
    click.option("--endpoint-url", help="Another endpoint for s3://."),
    click.option(
        "--conditional-writes/--no-conditional-writes",
        default=None,
        help="Whether the server of s3:// checks If-None-Match and If-Match; else it is found out.",
    ),
    click.option("--known-hosts", type=click.Path(), help="Host keys for sftp://."),
    click.option("--identity-file", type=click.Path(), help="The private key for sftp://."),
)

IGNORED: Final = section(
    "Accepted for papermill's sake",
    click.option("--engine", hidden=True, help="Accepted for papermill's sake; the engine is nbstep's."),
    click.option("--request-save-on-cell-execute/--no-request-save-on-cell-execute", default=True, hidden=True),
    click.option("--progress-bar/--no-progress-bar", default=None, hidden=True),
    click.option("--log-output/--no-log-output", default=True, hidden=True),
    click.option("--log-level", hidden=True),
)
"""papermill's options that mean nothing here: saving and logging do not cost what they cost there."""
