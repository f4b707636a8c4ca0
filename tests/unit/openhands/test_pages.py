"""Which events of a page may be written, and how often a pod is asked."""

from typing import Any

import pytest

from conversations.core.errors import RuntimeUnavailable
from conversations.openhands.v0.pages import MAX_GAP, MAX_RETRY_SECONDS, MAX_SECONDS, Pace, take


def page(*ids: Any) -> list[dict[str, Any]]:
    return [{"id": number} for number in ids]


@pytest.mark.parametrize(
    ("ids", "start", "settled", "taken"),
    [
        ([], 0, False, []),
        ([0, 1, 2], 0, False, [0, 1, 2]),
        ([7, 8], 7, False, [7, 8]),
        ([7, 9], 7, False, [7]),
        ([7, 9], 7, True, [7, 9]),
        ([8], 7, False, []),
        ([8], 7, True, [8]),
        ([MAX_GAP], 0, True, [MAX_GAP]),
    ],
)
def test_what_is_taken(ids: list[int], start: int, settled: bool, taken: list[int]) -> None:
    assert take(page(*ids), start, settled=settled) == page(*taken)


@pytest.mark.parametrize(
    "hostile",
    [
        [None],
        ["text"],
        [[0]],
        [{}],
        page("0"),
        page(True),
        page(0.0),
        page(None),
        page(-1),
        page(0, 0),
        page(0, 1, 0),
        page(MAX_GAP + 1),
        page(10**12),
    ],
)
@pytest.mark.parametrize("settled", [False, True])
def test_what_no_server_sends_is_refused(hostile: list[object], settled: bool) -> None:
    with pytest.raises(RuntimeUnavailable):
        take(hostile, 0, settled=settled)


def test_an_event_before_the_start_is_refused() -> None:
    with pytest.raises(RuntimeUnavailable):
        take(page(4), 5, settled=True)


def test_the_pace_slows_while_quiet_and_is_quick_again_when_something_comes() -> None:
    pace = Pace()
    waits = [pace.quiet() for _ in range(10)]
    assert waits == sorted(waits)
    assert waits[0] < 2
    assert waits[-1] == MAX_SECONDS
    assert pace.busy() == 1.0


def test_many_quiet_pods_are_not_asked_more_often_in_all() -> None:
    pace = Pace()
    waits = [pace.quiet(1000) for _ in range(20)]
    assert waits[:3] == [1.5, 2.25, 3.375]
    assert waits[-1] == 50.0
    assert pace.quiet(1) == MAX_SECONDS


def test_failures_back_off_and_are_forgotten_by_success() -> None:
    pace = Pace()
    waits = [pace.failed() for _ in range(20)]
    assert waits[0] == 2.0
    assert waits[-1] == MAX_RETRY_SECONDS
    assert pace.has_failed
    pace.quiet()
    assert not pace.has_failed
    assert pace.failed() == 2.0
