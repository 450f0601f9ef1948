"""The frozen types that every part of nbstep shares, and their JSON.

Nothing here does I/O. A type that another process reads back carries a ``schema_version``; fields are only ever added,
with a default.
"""

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
    beyond_utf8mb3,
    is_of_kfp_type,
    lost_on_the_way,
    whole,
)
from nbstep_runner.contract.needs import Need, knows, since
from nbstep_runner.contract.result import (
    CellRecord,
    CellState,
    Claim,
    Environment,
    ErrorInfo,
    RunResult,
    RunState,
    StorePromises,
)
from nbstep_runner.contract.spec import (
    Deadlines,
    InputFile,
    OutputLimits,
    ParameterKind,
    ParameterSource,
    RunSpec,
    StorageOptions,
    UnknownParameters,
)
from nbstep_runner.contract.step import Slot, StepPlan
from nbstep_runner.contract.sweep import SweepEvent, SweepPlan

__all__ = [
    "DIGEST_INPUT",
    "HTML",
    "KFP_TYPES",
    "METRICS",
    "NOTEBOOK",
    "CellFinished",
    "CellRecord",
    "CellStarted",
    "CellState",
    "Claim",
    "Deadlines",
    "Environment",
    "ErrorInfo",
    "Event",
    "InputFile",
    "Need",
    "Notice",
    "OutputEmitted",
    "OutputLimits",
    "OutputsCleared",
    "ParameterKind",
    "ParameterSource",
    "RunFinished",
    "RunResult",
    "RunSpec",
    "RunStarted",
    "RunState",
    "Severity",
    "Sink",
    "Slot",
    "StepPlan",
    "StorageOptions",
    "StorePromises",
    "StreamText",
    "SweepEvent",
    "SweepPlan",
    "UnknownParameters",
    "beyond_utf8mb3",
    "decode",
    "encode",
    "is_of_kfp_type",
    "knows",
    "lost_on_the_way",
    "since",
    "spec_digest",
    "whole",
]
