"""What is read out of events, which a pod may have made up."""

from datetime import UTC, datetime
from typing import Any

import pytest

from conversations.openhands.v0.facts import Facts, Spent, read_time


def metrics(cost: Any = 0.5, prompt: Any = 10, completion: Any = 3) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    return {"accumulated_cost": cost, "accumulated_token_usage": usage}


def event(second: int, **fields: Any) -> dict[str, Any]:
    return {"timestamp": f"2026-01-01T00:00:{second:02}.5", **fields}


def test_the_newest_of_everything_counts() -> None:
    events = [
        event(1, llm_metrics=metrics(0.1)),
        event(3, llm_metrics=metrics(0.2, 20, 5)),
        event(2),
    ]
    facts = Facts().after(events)
    assert facts.last_time == datetime(2026, 1, 1, 0, 0, 3, 500_000, tzinfo=UTC)
    assert facts.spent == Spent(0.2, 20, 5)
    assert not facts.git_used
    assert facts.after([]) == facts


@pytest.mark.parametrize(
    ("observation", "command", "used"),
    [
        ("run", "cd x && git checkout -b y", True),
        ("run", "git status", False),
        ("read", "git checkout y", False),
        ("run", None, False),
    ],
)
def test_git(observation: str, command: object, used: bool) -> None:
    facts = Facts().after([event(1, observation=observation, extras={"command": command})])
    assert facts.git_used is used
    assert facts.after([event(2)]).git_used is used


@pytest.mark.parametrize(
    "hostile",
    [
        None,
        "1",
        [],
        {},
        {"accumulated_cost": 1.0},
        metrics(cost="1"),
        metrics(cost=float("nan")),
        metrics(cost=float("inf")),
        metrics(cost=-1),
        metrics(cost=True),
        metrics(prompt=10**400),
        metrics(completion=None),
    ],
)
def test_made_up_metrics_are_no_metrics(hostile: object) -> None:
    assert Spent.read(hostile) is None
    known = Facts(spent=Spent(1.0))
    assert known.after([{"llm_metrics": hostile}]).spent == Spent(1.0)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-01T00:00:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T02:00:00+02:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00+23:59", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_times(text: object, time: datetime | None) -> None:
    assert read_time(text) == time
