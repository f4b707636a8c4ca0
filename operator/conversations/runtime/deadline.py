"""The caller's deadline, as an error of ours that says how far things had come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from conversations.core.errors import DeadlineExceeded


@dataclass
class Deadline:
    """What the error will say; the body sets `news` as it learns what it is waiting for."""

    what: str
    seconds: float
    news: str = ""

    def exceeded(self) -> DeadlineExceeded:
        last = f"; last: {self.news}" if self.news else ""
        return DeadlineExceeded(f"{self.what}: not finished within {self.seconds:g} s{last}")


@asynccontextmanager
async def deadline(seconds: float, what: str) -> AsyncIterator[Deadline]:
    """Raise DeadlineExceeded when the body takes longer than `seconds`."""
    state = Deadline(what, seconds)
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            yield state
    except TimeoutError as error:
        # A TimeoutError of the body's own (a caller's iterator, an inner deadline) is not ours.
        if not scope.expired() or isinstance(error, DeadlineExceeded):
            raise
        raise state.exceeded() from None
