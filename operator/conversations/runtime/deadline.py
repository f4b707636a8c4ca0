"""The caller's deadline, as an error of ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from conversations.core.errors import DeadlineExceeded


@asynccontextmanager
async def deadline(seconds: float, what: str) -> AsyncIterator[None]:
    """Raise DeadlineExceeded, naming `what`, when the body takes longer than `seconds`."""
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            yield
    except TimeoutError as error:
        # A TimeoutError of the body's own (a caller's iterator, an inner deadline) is not ours.
        if not scope.expired() or isinstance(error, DeadlineExceeded):
            raise
        raise DeadlineExceeded(f"{what}: not finished within {seconds:g} s") from None
