"""Calls of the served callable: so many at once, so many waiting, each for so long, each with its request's id."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, Final

from nbstep_runner.contract import ServingOptions
from nbstep_runner.serving.problems import Problem, RaisedError

REQUEST: Final[ContextVar[str]] = ContextVar("nbstep_request", default="")
"""The id of the request that the current thread works for; empty where it works for none."""


class Calls:
    """Calls one callable for requests, in threads.

    A call that takes too long cannot be ended, because Python ends no thread: its request is answered without it, and
    it holds its thread until it returns.

    Attributes:
        in_flight: Calls that run or wait for a thread.
        overdue: Calls that run though their requests have been answered without them.
        returned: Told in a call's thread, with its request's id, once the callable has returned.
    """

    def __init__(self, function: Callable[..., Any], options: ServingOptions) -> None:
        self._function = function
        self._options = options
        self._threads = ThreadPoolExecutor(options.concurrency, "nbstep-call")
        self.in_flight = 0
        self.overdue = 0
        self.returned: Callable[[str], None] = lambda _: None

    @property
    def stuck(self) -> bool:
        """Whether every thread is held by a call that is overdue, so that only a restart helps."""
        return self.overdue >= self._options.concurrency

    async def call(self, arguments: inspect.BoundArguments) -> Any:
        """The callable's answer.

        Raises:
            Problem: As many requests as may wait do so already, or it did not answer in time.
            RaisedError: It raised; the exception is its cause.
        """
        if self.in_flight >= self._options.concurrency + self._options.waiting:
            raise Problem(
                f"{self.in_flight} requests are under way already; try again in a moment", status=503, reference="busy"
            )
        self.in_flight += 1
        submitted = self._threads.submit(contextvars.copy_context().run, self._answer, arguments)
        answer = asyncio.wrap_future(submitted)
        answer.add_done_callback(self._ended)
        done, _ = await asyncio.wait({answer}, timeout=self._options.request_seconds)
        if done:
            return _unwrapped(answer)
        if not submitted.cancel():  # it runs
            self.overdue += 1
            answer.add_done_callback(self._returned)
        raise Problem(f"no answer within {self._options.request_seconds:g} s", status=504, reference="timed-out")

    def _answer(self, arguments: inspect.BoundArguments) -> Any:
        try:
            answer = self._function(*arguments.args, **arguments.kwargs)
            return asyncio.run(answer) if inspect.iscoroutine(answer) else answer
        finally:
            self.returned(REQUEST.get())

    def _ended(self, answer: asyncio.Future[Any]) -> None:
        self.in_flight -= 1
        if not answer.cancelled():
            answer.exception()  # of an overdue call nobody else asks

    def _returned(self, _: asyncio.Future[Any]) -> None:
        self.overdue -= 1


def _unwrapped(answer: asyncio.Future[Any]) -> Any:
    error = answer.exception()
    if error is None:
        return answer.result()
    raise RaisedError(f"{type(error).__name__}: {error}") from error


def traceback_of(error: BaseException) -> str:
    """A traceback from the callable on, without the frames that lead to it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [index for index, frame in enumerate(frames) if frame.filename == __file__]
    frames[:] = frames[ours[-1] + 1 :] if ours else frames
    head = ["Traceback (most recent call last):\n"] if frames else []
    return "".join([*head, *traceback.format_list(frames), *traceback.format_exception_only(error)]).rstrip()
