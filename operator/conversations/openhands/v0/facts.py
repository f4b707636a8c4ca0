"""What events say about a conversation as a whole: its last change, its cost, its branch.  Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

MAX_TOKENS = 10**15
GIT_COMMANDS = ("checkout", "switch", "merge", "rebase", "reset", "branch")


@dataclass(frozen=True)
class Spent:
    """What the LLM has cost so far."""

    cost: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @classmethod
    def read(cls, metrics: object) -> Self | None:
        """An event's `llm_metrics`, or None where they are no metrics: a pod may say anything."""
        usage = metrics.get("accumulated_token_usage") if isinstance(metrics, Mapping) else None
        if not (isinstance(metrics, Mapping) and isinstance(usage, Mapping)):
            return None
        cost = metrics.get("accumulated_cost")
        tokens = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
        if not _is_number(cost) or not all(_is_number(count) for count in tokens):
            return None
        prompt, completion = (int(count or 0) for count in tokens)
        return cls(float(cost or 0.0), prompt, completion)

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.cost + other.cost,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True)
class Facts:
    """As of the newest of the events that were looked at."""

    last_time: datetime | None = None
    spent: Spent | None = None
    git_used: bool = False
    """Whether a command may have changed the branch."""

    def after(self, events: Sequence[Mapping[str, Any]]) -> "Facts":
        """The facts once these have happened, too."""
        facts = self
        for event in events:
            time = read_time(event.get("timestamp"))
            facts = replace(
                facts,
                last_time=max(filter(None, (facts.last_time, time)), default=None),
                spent=Spent.read(event.get("llm_metrics")) or facts.spent,
                git_used=facts.git_used or _uses_git(event),
            )
        return facts


def read_time(text: object) -> datetime | None:
    """An event's timestamp in UTC, which is the clock of a pod that says nothing else."""
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
        if time is None:
            return None
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _uses_git(event: Mapping[str, Any]) -> bool:
    extras = event.get("extras")
    if event.get("observation") != "run" or not isinstance(extras, Mapping):
        return False
    command = extras.get("command")
    return isinstance(command, str) and any(f"git {verb}" in command for verb in GIT_COMMANDS)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= MAX_TOKENS
