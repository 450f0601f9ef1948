"""The frozen types that every part of nbstep shares, and their JSON.

Nothing here does I/O. A type that another process reads back carries a ``schema_version``; fields are only ever added,
with a default.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from nbstep_runner.contract.beside import (
    ATTEMPTS,
    FILES,
    LOG_ENDING,
    OUTPUT,
    OWN_ENDINGS,
    OWN_FOLDERS,
    PAGE_ENDING,
    PARTIAL_ENDING,
    RECORD,
    RECORD_ENDING,
    SPEC,
    STATE,
    VERDICT_ENDING,
    of_attempt,
)
from nbstep_runner.contract.sources import ParameterKind, ParameterSource, UnknownParameters
from nbstep_runner.contract.storage import STANDARD_STREAM, StorageOptions

if TYPE_CHECKING:
    from nbstep_runner.contract.codec import decode, encode, spec_digest
    from nbstep_runner.contract.events import (
        CellFinished,
        CellStarted,
        Event,
        Notice,
        OutputEmitted,
        OutputsCleared,
        RunFinished,
        RunStarted,
        Severity,
        Sink,
        StreamText,
    )
    from nbstep_runner.contract.kfp import (
        DIGEST_INPUT,
        HTML,
        KFP_TYPES,
        METRICS,
        NOTEBOOK,
        RUNS_INPUT,
        WORKSPACE,
        beyond_utf8mb3,
        is_of_kfp_type,
        lost_on_the_way,
        structure_in,
        whole,
    )
    from nbstep_runner.contract.needs import Need, knows, since
    from nbstep_runner.contract.patterns import Pattern
    from nbstep_runner.contract.result import (
        CellRecord,
        CellState,
        Claim,
        CollectedFile,
        Continuation,
        Environment,
        ErrorInfo,
        LeftBehind,
        Progress,
        RunResult,
        RunState,
        Serving,
        StorePromises,
    )
    from nbstep_runner.contract.spec import (
        Deadlines,
        HtmlAllow,
        InputFile,
        OutputLimits,
        RunSpec,
        ServingOptions,
    )
    from nbstep_runner.contract.step import Slot, StepSpec
    from nbstep_runner.contract.sweep import SweepEvent, SweepSpec, SweepTurn, records_among

__all__ = [
    "ATTEMPTS",
    "DIGEST_INPUT",
    "FILES",
    "HTML",
    "KFP_TYPES",
    "LOG_ENDING",
    "METRICS",
    "NOTEBOOK",
    "OUTPUT",
    "OWN_ENDINGS",
    "OWN_FOLDERS",
    "PAGE_ENDING",
    "PARTIAL_ENDING",
    "RECORD",
    "RECORD_ENDING",
    "RUNS_INPUT",
    "SPEC",
    "STANDARD_STREAM",
    "STATE",
    "VERDICT_ENDING",
    "WORKSPACE",
    "CellFinished",
    "CellRecord",
    "CellStarted",
    "CellState",
    "Claim",
    "CollectedFile",
    "Continuation",
    "Deadlines",
    "Environment",
    "ErrorInfo",
    "Event",
    "HtmlAllow",
    "InputFile",
    "LeftBehind",
    "Need",
    "Notice",
    "OutputEmitted",
    "OutputLimits",
    "OutputsCleared",
    "ParameterKind",
    "ParameterSource",
    "Pattern",
    "Progress",
    "RunFinished",
    "RunResult",
    "RunSpec",
    "RunStarted",
    "RunState",
    "Serving",
    "ServingOptions",
    "Severity",
    "Sink",
    "Slot",
    "StepSpec",
    "StorageOptions",
    "StorePromises",
    "StreamText",
    "SweepEvent",
    "SweepSpec",
    "SweepTurn",
    "UnknownParameters",
    "beyond_utf8mb3",
    "decode",
    "encode",
    "is_of_kfp_type",
    "knows",
    "lost_on_the_way",
    "of_attempt",
    "records_among",
    "since",
    "spec_digest",
    "structure_in",
    "whole",
]

_LATER: Final = {
    "codec": ("decode", "encode", "spec_digest"),
    "events": (
        "CellFinished",
        "CellStarted",
        "Event",
        "Notice",
        "OutputEmitted",
        "OutputsCleared",
        "RunFinished",
        "RunStarted",
        "Severity",
        "Sink",
        "StreamText",
    ),
    "kfp": (
        "DIGEST_INPUT",
        "HTML",
        "KFP_TYPES",
        "METRICS",
        "NOTEBOOK",
        "RUNS_INPUT",
        "WORKSPACE",
        "beyond_utf8mb3",
        "is_of_kfp_type",
        "lost_on_the_way",
        "structure_in",
        "whole",
    ),
    "needs": ("Need", "knows", "since"),
    "patterns": ("Pattern",),
    "result": (
        "CellRecord",
        "CellState",
        "Claim",
        "CollectedFile",
        "Continuation",
        "Environment",
        "ErrorInfo",
        "LeftBehind",
        "Progress",
        "RunResult",
        "RunState",
        "Serving",
        "StorePromises",
    ),
    "spec": ("Deadlines", "HtmlAllow", "InputFile", "OutputLimits", "RunSpec", "ServingOptions"),
    "step": ("Slot", "StepSpec"),
    "sweep": ("SweepEvent", "SweepSpec", "SweepTurn", "records_among"),
}
"""Names by the module that has them, for modules that not every command needs: each costs milliseconds of a start."""
_HOMES: Final = {name: module for module, names in _LATER.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import what is used when it is used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
