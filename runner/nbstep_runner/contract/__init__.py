"""The frozen types that every part of nbstep shares, and their JSON.

Nothing here does I/O. A type that another process reads back carries a ``schema_version``; fields are only ever added,
with a default.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from nbstep_runner.contract.beside import ATTEMPTS as ATTEMPTS
from nbstep_runner.contract.beside import FILES as FILES
from nbstep_runner.contract.beside import LOG_ENDING as LOG_ENDING
from nbstep_runner.contract.beside import OUTPUT as OUTPUT
from nbstep_runner.contract.beside import OWN_ENDINGS as OWN_ENDINGS
from nbstep_runner.contract.beside import OWN_FOLDERS as OWN_FOLDERS
from nbstep_runner.contract.beside import PAGE_ENDING as PAGE_ENDING
from nbstep_runner.contract.beside import PARTIAL_ENDING as PARTIAL_ENDING
from nbstep_runner.contract.beside import PLAN as PLAN
from nbstep_runner.contract.beside import RECORD as RECORD
from nbstep_runner.contract.beside import RECORD_ENDING as RECORD_ENDING
from nbstep_runner.contract.beside import SPEC as SPEC
from nbstep_runner.contract.beside import STATE as STATE
from nbstep_runner.contract.beside import VERDICT_ENDING as VERDICT_ENDING
from nbstep_runner.contract.beside import of_attempt as of_attempt
from nbstep_runner.contract.sources import ParameterKind as ParameterKind
from nbstep_runner.contract.sources import ParameterSource as ParameterSource
from nbstep_runner.contract.sources import UnknownParameters as UnknownParameters
from nbstep_runner.contract.storage import STANDARD_STREAM as STANDARD_STREAM
from nbstep_runner.contract.storage import StorageOptions as StorageOptions

if TYPE_CHECKING:
    from nbstep_runner.contract.codec import decode as decode
    from nbstep_runner.contract.codec import encode as encode
    from nbstep_runner.contract.codec import spec_digest as spec_digest
    from nbstep_runner.contract.events import CellFinished as CellFinished
    from nbstep_runner.contract.events import CellStarted as CellStarted
    from nbstep_runner.contract.events import Event as Event
    from nbstep_runner.contract.events import Notice as Notice
    from nbstep_runner.contract.events import OutputEmitted as OutputEmitted
    from nbstep_runner.contract.events import OutputsCleared as OutputsCleared
    from nbstep_runner.contract.events import RunFinished as RunFinished
    from nbstep_runner.contract.events import RunStarted as RunStarted
    from nbstep_runner.contract.events import Severity as Severity
    from nbstep_runner.contract.events import Sink as Sink
    from nbstep_runner.contract.events import StreamText as StreamText
    from nbstep_runner.contract.kfp import DIGEST_INPUT as DIGEST_INPUT
    from nbstep_runner.contract.kfp import HTML as HTML
    from nbstep_runner.contract.kfp import KFP_TYPES as KFP_TYPES
    from nbstep_runner.contract.kfp import METRICS as METRICS
    from nbstep_runner.contract.kfp import NOTEBOOK as NOTEBOOK
    from nbstep_runner.contract.kfp import RUNS_INPUT as RUNS_INPUT
    from nbstep_runner.contract.kfp import WORKSPACE as WORKSPACE
    from nbstep_runner.contract.kfp import beyond_utf8mb3 as beyond_utf8mb3
    from nbstep_runner.contract.kfp import is_of_kfp_type as is_of_kfp_type
    from nbstep_runner.contract.kfp import lost_on_the_way as lost_on_the_way
    from nbstep_runner.contract.kfp import structure_in as structure_in
    from nbstep_runner.contract.kfp import whole as whole
    from nbstep_runner.contract.moments import moment_of as moment_of
    from nbstep_runner.contract.needs import Need as Need
    from nbstep_runner.contract.needs import knows as knows
    from nbstep_runner.contract.needs import since as since
    from nbstep_runner.contract.patterns import Pattern as Pattern
    from nbstep_runner.contract.result import EXPIRED_LEASES as EXPIRED_LEASES
    from nbstep_runner.contract.result import CellRecord as CellRecord
    from nbstep_runner.contract.result import Claim as Claim
    from nbstep_runner.contract.result import CollectedFile as CollectedFile
    from nbstep_runner.contract.result import Continuation as Continuation
    from nbstep_runner.contract.result import Environment as Environment
    from nbstep_runner.contract.result import LeftBehind as LeftBehind
    from nbstep_runner.contract.result import Progress as Progress
    from nbstep_runner.contract.result import RunResult as RunResult
    from nbstep_runner.contract.result import Serving as Serving
    from nbstep_runner.contract.result import StorePromises as StorePromises
    from nbstep_runner.contract.spec import Deadlines as Deadlines
    from nbstep_runner.contract.spec import HtmlAllow as HtmlAllow
    from nbstep_runner.contract.spec import InputFile as InputFile
    from nbstep_runner.contract.spec import OutputLimits as OutputLimits
    from nbstep_runner.contract.spec import RunSpec as RunSpec
    from nbstep_runner.contract.spec import ServingOptions as ServingOptions
    from nbstep_runner.contract.states import CellState as CellState
    from nbstep_runner.contract.states import ErrorInfo as ErrorInfo
    from nbstep_runner.contract.states import RunState as RunState
    from nbstep_runner.contract.step import Slot as Slot
    from nbstep_runner.contract.step import StepSpec as StepSpec
    from nbstep_runner.contract.sweep import SweepEvent as SweepEvent
    from nbstep_runner.contract.sweep import SweepSpec as SweepSpec
    from nbstep_runner.contract.sweep import SweepTurn as SweepTurn
    from nbstep_runner.contract.sweep import records_among as records_among

_LATER: Final = {
    "codec": "decode encode spec_digest",
    "events": (
        "CellFinished CellStarted Event Notice OutputEmitted OutputsCleared RunFinished RunStarted "
        "Severity Sink StreamText"
    ),
    "kfp": (
        "DIGEST_INPUT HTML KFP_TYPES METRICS NOTEBOOK RUNS_INPUT WORKSPACE beyond_utf8mb3 is_of_kfp_type "
        "lost_on_the_way structure_in whole"
    ),
    "moments": "moment_of",
    "needs": "Need knows since",
    "patterns": "Pattern",
    "result": (
        "EXPIRED_LEASES CellRecord Claim CollectedFile Continuation Environment LeftBehind Progress RunResult Serving "
        "StorePromises"
    ),
    "spec": "Deadlines HtmlAllow InputFile OutputLimits RunSpec ServingOptions",
    "states": "CellState ErrorInfo RunState",
    "step": "Slot StepSpec",
    "sweep": "SweepEvent SweepSpec SweepTurn records_among",
}
"""Names by the module that has them, for modules that not every command needs: each costs milliseconds of a start."""
_HOMES: Final = {name: module for module, names in _LATER.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import what is used when it is used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
