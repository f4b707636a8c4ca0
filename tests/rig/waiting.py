"""Waiting for a condition with a deadline: the only place of the tests that polls."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

POLL_SECONDS = 0.05


What = str | Callable[[], str]


@overload
async def eventually(
    condition: Callable[[], Awaitable[T]], deadline_seconds: float, what: What = ""
) -> T: ...


@overload
async def eventually(condition: Callable[[], T], deadline_seconds: float, what: What = "") -> T: ...


async def eventually(condition: Any, deadline_seconds: float, what: What = "") -> Any:
    """The first truthy answer of `condition`; an AssertionError once the deadline has passed."""
    deadline = time.monotonic() + deadline_seconds
    while True:
        answer = condition()
        found = await answer if inspect.isawaitable(answer) else answer
        if found:
            return found
        if time.monotonic() > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"not within {deadline_seconds} s: {said}; {found!r}")
        await asyncio.sleep(POLL_SECONDS)


async def quiet(count: Callable[[], int], seconds: float, deadline_seconds: float) -> None:
    """Return once `count` has not moved for that long."""
    seen, since = count(), time.monotonic()
    deadline = since + deadline_seconds
    while time.monotonic() - since < seconds:
        assert time.monotonic() < deadline, f"still writing after {deadline_seconds} s"
        await asyncio.sleep(POLL_SECONDS)
        if (now := count()) != seen:
            seen, since = now, time.monotonic()
