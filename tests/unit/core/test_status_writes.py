"""Losses are recorded first, progress is held back, and a patch holds only what differs."""

from dataclasses import replace

import msgspec
import pytest

from conversations.api.reasons import ConditionType, Reason
from conversations.core.actions import RecordLoss
from conversations.core.observed import Status
from conversations.core.status import (
    PROGRESS_SECONDS,
    compute_loss,
    compute_status,
    compute_volume_gone,
    explain_readiness,
    is_settled,
    progress_delay,
    status_patch,
)
from conversations.core.world import Memory, World
from tests.unit.core.samples import (
    CLOCK,
    KEY_HASH,
    NOW,
    POD_UID,
    READY_POD,
    READY_STATUS,
    a_conversation,
    a_pod,
    a_world,
    ago,
)
from tests.unit.core.worlds import (
    NAME,
    paused,
    ready_world,
    reason,
)

# --- losses


LOSS = RecordLoss(POD_UID, Reason.OUT_OF_MEMORY, "killed")


def test_a_loss_is_counted_before_anything_replaces_the_pod() -> None:
    world = a_world(a_conversation(READY_STATUS | {"restarts": 2, "startupMilliseconds": 5}))
    status = compute_loss(world, LOSS)
    assert (status.restarts, status.last_restart_time) == (3, NOW)
    assert (status.last_restart_reason, status.last_restart_pod_uid) == ("OutOfMemory", POD_UID)
    assert reason(status) == Reason.OUT_OF_MEMORY
    gone = (status.pod_name, status.pod_uid, status.url, status.startup_milliseconds)
    assert gone == (None, None, None, None)
    assert status.session_key_hash == KEY_HASH
    assert status.condition(ConditionType.WORKSPACE_LOST) is None
    assert status.workspace == NAME


def test_a_loss_of_an_empty_dir_is_a_loss_of_files() -> None:
    world = a_world(a_conversation(READY_STATUS | {"workspace": "emptyDir"}))
    status = compute_loss(world, LOSS)
    assert status.is_true(ConditionType.WORKSPACE_LOST)
    assert status.workspace is None


def test_a_lost_workspace_stays_lost() -> None:
    world = a_world(a_conversation(READY_STATUS | {"workspace": "emptyDir"}))
    lost = compute_loss(world, LOSS)
    after = msgspec.structs.replace(world.conversation, status=lost)
    assert compute_status(replace(world, conversation=after)).is_true(ConditionType.WORKSPACE_LOST)


def test_the_reason_of_a_loss_is_the_news_until_the_replacement_exists() -> None:
    world = a_world(a_conversation(READY_STATUS))
    after = msgspec.structs.replace(world.conversation, status=compute_loss(world, LOSS))
    world = replace(world, conversation=after)
    assert explain_readiness(world).reason == Reason.OUT_OF_MEMORY
    assert explain_readiness(replace(world, pods=[a_pod()])).reason == Reason.BOOTING


def test_a_vanished_volume_is_said_once() -> None:
    world = a_world(a_conversation(READY_STATUS))
    status = compute_volume_gone(world)
    assert reason(status, ConditionType.WORKSPACE_LOST) == Reason.VOLUME_GONE
    assert status.workspace is None
    assert len(status.conditions) == 2


# --- what is written, and when


def test_a_patch_holds_what_differs_and_nulls_for_what_is_removed() -> None:
    old = msgspec.convert({"phase": "Running", "url": "u", "podUID": "1", "restarts": 2}, Status)
    new = msgspec.convert({"phase": "Pending", "podUID": "1", "restarts": 3}, Status)
    assert status_patch(old, new) == {"phase": "Pending", "url": None, "restarts": 3}
    assert status_patch(new, new) == {}


def test_a_patch_is_json_of_the_wire() -> None:
    patch = status_patch(Status(), compute_status(ready_world()))
    assert patch["podUID"] == POD_UID
    ready = patch["conditions"][0]
    assert ready["lastTransitionTime"] == "2026-03-01T12:00:00Z"
    assert ready["observedGeneration"] == 1


@pytest.mark.parametrize(
    ("world", "since", "delay"),
    [
        (a_world(pods=[a_pod()]), CLOCK, PROGRESS_SECONDS),
        (a_world(pods=[a_pod()]), CLOCK - 1.5, PROGRESS_SECONDS - 1.5),
        (a_world(pods=[a_pod()]), CLOCK - 60, 0.0),
        (a_world(pods=[a_pod()]), None, 0.0),
        (ready_world(), CLOCK, 0.0),
        (paused(), CLOCK, 0.0),
        (paused(pods=[a_pod(**READY_POD)]), CLOCK, PROGRESS_SECONDS),
    ],
)
def test_progress_is_held_back_and_ends_are_not(
    world: World, since: float | None, delay: float
) -> None:
    world.memory = Memory(unsettled_since=since)
    assert progress_delay(world, compute_status(world)) == delay


def test_settled_is_ready_or_paused() -> None:
    assert is_settled(ready_world())
    assert is_settled(paused())
    assert not is_settled(a_world(pods=[a_pod()]))


def test_times_are_those_of_metav1() -> None:
    world = a_world(now=NOW.replace(microsecond=123456))
    ready = compute_status(world).condition(ConditionType.READY)
    assert ready is not None and ready.last_transition_time == NOW
    loss = compute_loss(replace(world, conversation=a_conversation(READY_STATUS)), LOSS)
    assert loss.last_restart_time == NOW
    assert ago(0) == "2026-03-01T12:00:00Z"
