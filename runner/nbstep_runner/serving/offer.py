"""``serve()``: what a serving notebook calls; and what is known of it until the endpoint begins to listen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Offer:
    """What is to be served: a callable, and arguments that show how it is called."""

    function: Callable[..., Any]
    example: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Kernel:
    """What this process knows of being an endpoint: whether it is to be one, and of what."""

    serves: bool = False
    offer: Offer | None = None


_kernel = _Kernel()


def serve(function: F, *, example: Mapping[str, Any] | None = None) -> F:
    """Offer a callable over HTTP, once the last cell of this notebook has succeeded.

    Outside a served run it does nothing, so the same notebook runs as any other. The last call counts.

    Args:
        function: Called with the inputs of a request by name, from several threads at once. Its annotations say what
            it takes: numbers, text, lists, records; arrays, images and tables by ``Array``, ``Image`` and ``Table`` in
            ``Annotated``. It may be a coroutine function.
        example: Arguments by name. They fill the form of the page, and the endpoint answers them once before it is
            ready, so that one which cannot answer at all never becomes ready.

    Returns:
        The callable.

    Raises:
        TypeError: In a served run: it is no callable, or has a parameter that no request can give.
    """
    if not _kernel.serves:
        return function
    if not callable(function):
        raise TypeError(f"serve() takes a callable, not a {type(function).__name__}")
    from nbstep_runner.serving.signature import Signature

    Signature(function, example or {})
    _kernel.offer = Offer(function, dict(example or {}))
    return function


def expect() -> None:
    """From now on this process is to be an endpoint: an offer counts."""
    _kernel.serves = True


def offered() -> Offer | None:
    """What the notebook has offered."""
    return _kernel.offer
