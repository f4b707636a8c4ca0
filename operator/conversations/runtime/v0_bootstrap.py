"""Telling a nested OpenHands server what its conversation was declared to be."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable

import httpx

from conversations.core.attempt import Outcome, learn, look_again
from conversations.core.bootstrap import GiveUp, Wait, begin, next_step
from conversations.core.declared import Declared
from conversations.core.errors import RuntimeUnavailable
from conversations.core.nested import UNREADABLE, Answer, Request
from conversations.runtime.openhands_v0 import OpenHandsV0
from conversations.runtime.translation import translated
from conversations.runtime.v0_http import MAX_HISTORY_BYTES

REQUESTS_PER_SECOND = 5
"""OpenHands slows an address down above 10, probes and the manager's requests not counted."""


async def configure(
    server: OpenHandsV0, declared: Declared, *, report: Callable[[str], None] = lambda _: None
) -> Outcome:
    """
    Bring the conversation to run as declared, or say why that cannot be.

    Safe to call at any time, any number of times, also beside another call.  `report` gets a phrase
    on what is being done.  RuntimeUnavailable for what may pass: call again, later.
    """
    pace = Pace(REQUESTS_PER_SECOND)
    attempt = begin(declared)
    while True:
        match next_step(declared, attempt, time.monotonic()):
            case Outcome() as outcome:
                return outcome
            case GiveUp(message):
                raise RuntimeUnavailable(message)
            case Wait(seconds, why):
                report(why)
                await asyncio.sleep(seconds)
                attempt = look_again(attempt)
            case Request() as request:
                report(str(request.step))
                await pace.wait()
                answer = await _ask(server, request)
                attempt = learn(declared, attempt, request, answer, time.monotonic())


async def _ask(server: OpenHandsV0, request: Request) -> Answer:
    with translated(request.step):
        try:
            response = await server.request(
                request.method,
                request.path,
                params=request.params or None,
                json=request.body,
                timeout_seconds=request.timeout_seconds,
                max_bytes=MAX_HISTORY_BYTES,
            )
        except httpx.ReadTimeout:
            if not request.may_time_out:
                raise
            return Answer(None)
    return Answer(response.status_code, _parse(response.content))


def _parse(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return UNREADABLE


class Pace:
    """Lets so many through per second, at once while there are few."""

    def __init__(self, per_second: int) -> None:
        self._times: deque[float] = deque(maxlen=per_second)

    async def wait(self) -> None:
        """Return when the next one may go."""
        if len(self._times) == self._times.maxlen:
            await asyncio.sleep(max(0.0, self._times[0] + 1.0 - time.monotonic()))
        self._times.append(time.monotonic())
