"""What a page of events from a pod may look like, and how soon to ask for the next.  Pure."""

from collections.abc import Sequence
from typing import Any

from conversations.core.errors import RuntimeUnavailable

MAX_GAP = 100
"""Ids that may be missing in a row.  OpenHands walks its history by id, so a wild one would cost it dear."""

MIN_SECONDS = 1.0
MAX_SECONDS = 5.0
MAX_RETRY_SECONDS = 30.0
QUIET_PER_SECOND = 20.0


def take(page: Sequence[object], start: int, *, settled: bool) -> list[dict[str, Any]]:
    """
    The events of a page that begins at id `start` which may be written now, in their order.

    A missing id may yet come, because the pod writes events side by side: nothing behind it is
    taken unless `settled`.  RuntimeUnavailable for what no nested server sends.
    """
    taken: list[dict[str, Any]] = []
    expected = start
    for event in page:
        number = event_id(event)
        if not expected <= number <= expected + MAX_GAP:
            raise RuntimeUnavailable("the runtime's events are out of order")
        if number > expected and not settled:
            break
        assert isinstance(event, dict)
        taken.append(event)
        expected = number + 1
    return taken


def event_id(event: object) -> int:
    """RuntimeUnavailable for what is no event of a store."""
    number = event.get("id") if isinstance(event, dict) else None
    if not isinstance(number, int) or isinstance(number, bool):
        raise RuntimeUnavailable("the runtime's events have no ids")
    return number


class Pace:
    """Seconds until the next look: short while events come or somebody waits, longer while quiet."""

    def __init__(self) -> None:
        self._seconds = MIN_SECONDS
        self._failures = 0

    def busy(self) -> float:
        self._seconds, self._failures = MIN_SECONDS, 0
        return self._seconds

    def quiet(self, followed: int = 1) -> float:
        """`followed` pods share what one server asks all quiet ones together."""
        self._failures = 0
        longest = max(MAX_SECONDS, followed / QUIET_PER_SECOND)
        self._seconds = min(longest, self._seconds * 1.5)
        return self._seconds

    def failed(self) -> float:
        self._failures = min(self._failures + 1, 10)
        return min(MAX_RETRY_SECONDS, MIN_SECONDS * 2.0**self._failures)

    @property
    def has_failed(self) -> bool:
        return self._failures > 0
