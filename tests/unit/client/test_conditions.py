"""What a waiter makes of the conditions: one row for each case."""

from typing import Any

import pytest

from conversations.api.conversation import Conversation
from conversations.api.reasons import TERMINAL_REASONS, Reason
from conversations.client.conditions import (
    is_running,
    require_runtime,
    why_not_paused,
    why_not_ready,
)
from conversations.core.errors import ConversationFailed, ConversationNotReady

WITH_POD = {"url": "http://192.0.2.1:8000", "podUID": "pod-1"}


def a_condition(kind: str, status: str, reason: str, generation: int = 2) -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "words",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": generation,
    }


def a_conversation(*conditions: dict[str, Any], mode: str = "Running", **status: Any) -> Any:
    return Conversation.model_validate(
        {
            "metadata": {"name": "s", "generation": 2},
            "spec": {"mode": mode},
            "status": {"conditions": list(conditions), **status},
        }
    )


READY = a_condition("Ready", "True", "RuntimeReady")
OLD_READY = a_condition("Ready", "True", "RuntimeReady", generation=1)
BOOTING = a_condition("Ready", "False", "Booting")
PAUSED = a_condition("Paused", "True", "Paused")
PAUSING = a_condition("Paused", "False", "Pausing")
REFUSED = a_condition("Paused", "False", "PauseRefused")


@pytest.mark.parametrize(
    ("conversation", "news"),
    [
        (a_conversation(), "the operator has not looked at it yet"),
        (a_conversation(OLD_READY), "the operator has not looked at it yet"),
        (a_conversation(BOOTING), "Booting: words"),
        (a_conversation(READY), None),
        (a_conversation(READY, REFUSED, mode="Paused"), None),
    ],
)
def test_waiting_for_ready(conversation: Conversation, news: str | None) -> None:
    assert why_not_ready(conversation) == news


@pytest.mark.parametrize("reason", sorted(TERMINAL_REASONS))
def test_waiting_is_useless(reason: Reason) -> None:
    with pytest.raises(ConversationFailed, match="words") as caught:
        why_not_ready(a_conversation(a_condition("Ready", "False", reason)))
    assert caught.value.reason == reason


def test_a_paused_one_does_not_become_ready() -> None:
    stopped = a_condition("Ready", "False", "Paused")
    with pytest.raises(ConversationNotReady, match="resume it first"):
        why_not_ready(a_conversation(stopped, PAUSED, mode="Paused"))


@pytest.mark.parametrize(
    ("conversation", "news"),
    [
        (a_conversation(READY, mode="Paused"), "the operator has not looked at it yet"),
        (a_conversation(PAUSING, mode="Paused"), "Pausing: words"),
        (a_conversation(PAUSED, mode="Paused"), None),
    ],
)
def test_waiting_for_a_pause(conversation: Conversation, news: str | None) -> None:
    assert why_not_paused(conversation) == news


def test_a_refused_pause() -> None:
    with pytest.raises(ConversationFailed) as caught:
        why_not_paused(a_conversation(READY, REFUSED, mode="Paused"))
    assert caught.value.reason == "PauseRefused"


@pytest.mark.parametrize(
    ("conversation", "reason"),
    [
        (a_conversation(), "Booting"),
        (a_conversation(a_condition("Ready", "False", "Evicted"), **WITH_POD), "Evicted"),
        (a_conversation(OLD_READY, mode="Paused", **WITH_POD), "Pausing"),
        (a_conversation(READY), "Booting"),
        (a_conversation(READY, **WITH_POD), None),
        (a_conversation(OLD_READY, **WITH_POD), None),
        (a_conversation(READY, REFUSED, mode="Paused", **WITH_POD), None),
    ],
)
def test_who_has_files(conversation: Conversation, reason: str | None) -> None:
    if reason is None:
        require_runtime(conversation)
        return
    with pytest.raises(ConversationNotReady) as caught:
        require_runtime(conversation)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("conversation", "running"),
    [
        (a_conversation(), False),
        (a_conversation(BOOTING), False),
        (a_conversation(READY), True),
        (a_conversation(OLD_READY), True),
        (a_conversation(OLD_READY, mode="Paused"), False),
        (a_conversation(READY, REFUSED, mode="Paused"), True),
    ],
)
def test_who_is_running(conversation: Conversation, running: bool) -> None:
    assert is_running(conversation) is running
