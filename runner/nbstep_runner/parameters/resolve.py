"""From the sources of parameters to the values that the notebook gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbstep_runner.contract import ParameterSource, UnknownParameters
from nbstep_runner.parameters.model import Signature
from nbstep_runner.parameters.resolved import Resolved


def resolve(
    sources: Sequence[ParameterSource],
    read: Callable[[str], bytes],
    signature: Signature,
    *,
    unknown: UnknownParameters,
) -> Resolved:
    """Merge the sources in order (a later one wins), give each value its declared type, and check them all.

    Raises:
        BadInputError: At least one value does not fit; the message lists every problem, a line each.
    """
    raise NotImplementedError
