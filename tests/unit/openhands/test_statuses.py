"""A Conversation's conditions in OpenHands' words."""

from typing import Any

import pytest

from conversations.api.reasons import TERMINAL_REASONS, Reason
from conversations.client.watched import Watched, WatchedMeta
from conversations.openhands.v0.statuses import (
    compute_loop_status,
    compute_runtime_status,
    is_running,
    may_drain,
)


def a_condition(kind: str, status: str, reason: str, seen: int = 1, message: str = "") -> Any:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": seen,
    }


def watched(
    *conditions: Any, mode: str | None = None, generation: int = 1, workspace: str = "conv-1"
) -> Watched:
    return Watched(
        metadata=WatchedMeta(name="s", generation=generation),
        spec={} if mode is None else {"mode": mode},
        status={"conditions": list(conditions), "workspace": workspace},
    )


READY = a_condition("Ready", "True", "RuntimeReady")
BOOTING = a_condition("Ready", "False", "Booting")
NO_IMAGE = a_condition("Ready", "False", "ImageUnavailable")
REFUSED = a_condition("Paused", "False", "PauseRefused", seen=2)
PAUSING = a_condition("Paused", "False", "Pausing", seen=2)
VOLUME_GONE = a_condition("WorkspaceLost", "True", "VolumeGone")
POD_REPLACED = a_condition("WorkspaceLost", "True", "PodReplaced")


@pytest.mark.parametrize(
    ("conversation", "status"),
    [
        (watched(), "STARTING"),
        (watched(BOOTING), "STARTING"),
        (watched(a_condition("Ready", "False", "Configuring")), "STARTING"),
        (watched(a_condition("Ready", "False", "WaitingForSecret")), "STARTING"),
        (watched(a_condition("Ready", "False", "NodeLost")), "STARTING"),
        (watched(READY), "RUNNING"),
        (watched(READY, generation=2), "RUNNING"),
        (watched(READY, mode="Running"), "RUNNING"),
        (watched(READY, mode="Paused"), None),
        (watched(READY, PAUSING, mode="Paused", generation=2), None),
        (watched(READY, REFUSED, mode="Paused", generation=2), "RUNNING"),
        (watched(READY, REFUSED, mode="Paused", generation=3), None),
        (watched(a_condition("Ready", "False", "Paused"), mode="Paused"), None),
        # Resumed a moment ago: the condition speaks of the pause.
        (watched(a_condition("Ready", "False", "Paused"), generation=2), "STARTING"),
        (watched(NO_IMAGE), "ERROR"),
        (watched(NO_IMAGE, generation=2), "STARTING"),
        (watched(VOLUME_GONE, BOOTING), "ARCHIVED"),
        (watched(VOLUME_GONE, READY), "RUNNING"),
        (watched(POD_REPLACED, BOOTING), "STARTING"),
    ],
)
def test_status(conversation: Watched, status: str | None) -> None:
    assert compute_loop_status(conversation) == status
    assert is_running(conversation) is (status == "RUNNING")


@pytest.mark.parametrize(
    "reason",
    sorted(
        {
            *TERMINAL_REASONS,
            Reason.CRASH_LOOP,
            Reason.IMAGE_UNAVAILABLE,
            Reason.UNSCHEDULABLE,
            Reason.QUOTA_EXCEEDED,
            Reason.OUT_OF_MEMORY,
            Reason.CONFIGURATION_REJECTED,
            Reason.PROVIDERS_REJECTED,
        }
    ),
)
def test_what_a_person_must_see_is_an_error(reason: str) -> None:
    assert compute_loop_status(watched(a_condition("Ready", "False", reason))) == "ERROR"


@pytest.mark.parametrize(
    ("condition", "runtime_status"),
    [
        (READY, "STATUS$READY"),
        (BOOTING, "STATUS$STARTING_RUNTIME"),
        (a_condition("Ready", "False", "Configuring"), "STATUS$SETTING_UP_WORKSPACE"),
        (NO_IMAGE, "STATUS$ERROR"),
        (a_condition("Ready", "False", "OutOfMemory"), "STATUS$ERROR_MEMORY"),
        (
            a_condition("Ready", "False", "ProvidersRejected"),
            "STATUS$GIT_PROVIDER_AUTHENTICATION_ERROR",
        ),
        (
            a_condition(
                "Ready",
                "False",
                "ConfigurationRejected",
                message="create: 400 STATUS$ERROR_LLM_AUTHENTICATION",
            ),
            "STATUS$ERROR_LLM_AUTHENTICATION",
        ),
    ],
)
def test_runtime_status(condition: Any, runtime_status: str) -> None:
    conversation = watched(condition)
    status = compute_loop_status(conversation)
    assert status is not None
    assert compute_runtime_status(conversation, status) == runtime_status


@pytest.mark.parametrize(
    ("conversation", "may"),
    [
        (watched(READY), False),
        (watched(READY, mode="Paused", generation=2), True),
        # It may yet be refused, and the agent is to go on then.
        (watched(READY, mode="Paused", generation=2, workspace="emptyDir"), False),
        (watched(READY, PAUSING, mode="Paused", generation=2, workspace="emptyDir"), True),
        (watched(READY, REFUSED, mode="Paused", generation=2, workspace="emptyDir"), False),
    ],
)
def test_the_agent_is_stopped_only_for_a_pause_that_happens(
    conversation: Watched, may: bool
) -> None:
    assert may_drain(conversation) is may
