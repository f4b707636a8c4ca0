"""An event loop whose clock only moves when it is told to."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Timers fire when `advance` passes them; nothing ever sleeps for real."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0

    def time(self) -> float:
        return self._now

    def settle(self) -> None:
        """Let everything run that can run now."""
        self.run_until_complete(_turns(20))

    def advance(self, seconds: float) -> None:
        """Move the clock, stopping at each timer on the way."""
        end = self._now + seconds
        while True:
            timers = [t.when() for t in self._scheduled if not t.cancelled()]  # type: ignore[attr-defined]
            due = min((when for when in timers if when <= end), default=end)
            self._now = max(self._now, due)
            self.settle()
            if due >= end:
                break

    def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of something that needs no time."""
        task = self.create_task(work)
        self.settle()
        return task.result()


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
