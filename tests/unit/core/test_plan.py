"""The rules of design §3 that concern cold starts, each by its name."""

from dataclasses import replace
from typing import Any

import pytest

from conversations.api.reasons import Reason
from conversations.core import actions
from conversations.core.actions import Action
from conversations.core.plan import plan
from conversations.core.world import Memory, World
from tests.unit.core.samples import (
    EPHEMERAL,
    LEAVING,
    LOSSY,
    POD_UID,
    READY_POD,
    READY_STATUS,
    UID,
    a_claim,
    a_conversation,
    a_pod,
    a_secret,
    a_template,
    a_world,
    deleted,
)
from tests.unit.core.worlds import (
    EMPTY_DIR,
    EPHEMERAL_POD,
    NAME,
    TERMINAL,
    lost,
)

# --- a cold start


def test_the_secret_decides_before_anything_else_is_made() -> None:
    assert plan(a_world(secret=None)) == actions.CreateSecret()


def test_a_second_secret_is_not_made_on_the_word_of_a_cache() -> None:
    world = a_world(secret=None, memory=Memory(has_decided=True))
    assert plan(world) == actions.ReadConversation()
    assert plan(replace(world, confirmed=True)) == actions.CreateSecret()


def test_a_start_goes_on_at_once_where_the_secret_was_made_in_this_pass() -> None:
    world = a_world(template=a_template(workspace=EPHEMERAL), secret_created=True)
    assert plan(world) == actions.CreatePod()


def test_rule_4_a_start_on_the_word_of_a_cache_reads_the_conversation_first() -> None:
    assert plan(a_world()) == actions.ReadConversation()


def test_a_volume_is_read_then_made_then_used() -> None:
    world = a_world(confirmed=True)
    assert plan(world) == actions.ReadClaim()
    assert plan(replace(world, claim_read=True)) == actions.CreateClaim()
    assert plan(replace(world, claim_read=True, claim=a_claim())) == actions.CreatePod()


def test_a_volume_that_went_away_is_said_before_an_empty_one_takes_its_place() -> None:
    conversation = a_conversation({"workspace": NAME})
    world = a_world(conversation, confirmed=True, claim_read=True)
    assert plan(world) == actions.RecordVolumeGone()


def test_nothing_is_done_while_all_is_well() -> None:
    assert plan(a_world(a_conversation(READY_STATUS), pods=[a_pod(**READY_POD)])) is None


@pytest.mark.parametrize(
    "world",
    [
        a_world(template=None),
        a_world(a_conversation(image="evil:1")),
        a_world(a_conversation(env=[{"name": "A", "value": "1"}]), template=a_template(pod={})),
        a_world(template=a_template(pod={"spec": {"containers": []}})),
    ],
)
def test_nothing_is_started_that_may_not_be(world: World) -> None:
    assert plan(world) is None


# --- deletion


@pytest.mark.parametrize("pods", [[], [a_pod(**READY_POD)], [a_pod(**TERMINAL)]])
@pytest.mark.parametrize("mode", ["Running", "Paused"])
@pytest.mark.parametrize("secret", [None, a_secret()])
def test_rule_4_a_deletion_timestamp_means_no_action_at_all(
    pods: list[Any], mode: str, secret: Any
) -> None:
    conversation = deleted(a_conversation(READY_STATUS, mode=mode))
    assert plan(a_world(conversation, pods=pods, secret=secret)) is None


# --- pause


def test_rule_4_a_pause_reads_the_conversation_and_then_deletes_the_very_pod() -> None:
    world = a_world(a_conversation(READY_STATUS, mode="Paused"), pods=[a_pod(**READY_POD)])
    assert plan(world) == actions.ReadConversation()
    assert plan(replace(world, confirmed=True)) == actions.DeletePod(NAME, POD_UID)


def test_a_pause_keeps_secret_and_volume_and_is_done_when_the_pod_is_gone() -> None:
    paused = a_conversation(READY_STATUS, mode="Paused")
    assert plan(a_world(paused)) is None
    assert plan(a_world(paused, secret=None)) is None
    assert plan(a_world(paused, pods=[a_pod(**READY_POD, meta=LEAVING)])) is None


@pytest.mark.parametrize(
    ("template", "refuses"),
    [
        (a_template(workspace=EPHEMERAL), True),
        (None, True),
        (a_template(), True),
        (a_template(workspace=LOSSY), False),
    ],
)
def test_a_pause_must_not_destroy_work(template: Any, refuses: bool) -> None:
    world = a_world(
        a_conversation(mode="Paused"),
        pods=[a_pod(**EPHEMERAL_POD)],
        template=template,
        confirmed=True,
    )
    assert (plan(world) is None) is refuses


@pytest.mark.parametrize("pod", [a_pod(phase="Failed", volumes=[EMPTY_DIR])])
def test_a_pause_has_nothing_to_save_of_a_pod_that_ended(pod: Any) -> None:
    world = a_world(a_conversation(mode="Paused"), pods=[pod], confirmed=True)
    assert plan(world) == actions.DeletePod(NAME, POD_UID)


# --- rule 3: what is in the way


def test_rule_3_a_replacement_waits_until_the_old_pod_is_gone() -> None:
    leaving = a_pod(**READY_POD, meta=LEAVING)
    assert plan(a_world(a_conversation(READY_STATUS), pods=[leaving], confirmed=True)) is None


def test_rule_3_a_terminal_pod_is_recorded_and_then_deleted_by_uid() -> None:
    world = a_world(a_conversation(READY_STATUS), pods=[a_pod(**TERMINAL)], confirmed=True)
    action = plan(world)
    assert isinstance(action, actions.RecordLoss)
    assert (action.pod_uid, action.reason) == (POD_UID, Reason.POD_FAILED)
    recorded = replace(world, conversation=a_conversation(lost(1)))
    assert plan(recorded) == actions.DeletePod(NAME, POD_UID)


def test_rule_3_an_owned_pod_that_is_not_the_chosen_one_is_deleted() -> None:
    stray = a_pod(**READY_POD, meta={"name": "conv-warm-7", "uid": "stray"})
    world = a_world(pods=[a_pod(**READY_POD), stray], confirmed=True)
    assert plan(world) == actions.DeletePod("conv-warm-7", "stray")


def test_a_pod_that_another_uid_owns_is_not_touched() -> None:
    foreign = a_pod(owner="somebody-else", **READY_POD)
    world = a_world(pods=[foreign], confirmed=True, claim_read=True, claim=a_claim())
    assert plan(world) == actions.CreatePod()  # Which answers 409, and that becomes NameTaken.


# --- all of them


def _worlds() -> list[World]:
    pods: list[list[Any]] = [
        [],
        [a_pod(**READY_POD)],
        [a_pod(**TERMINAL)],
        [a_pod(**READY_POD, meta=LEAVING)],
        [a_pod(key_hash="old", **READY_POD)],
        [a_pod(owner="other", **READY_POD)],
    ]
    return [
        a_world(
            a_conversation(status, mode=mode),
            pods=found,
            secret=secret,
            template=template,
            confirmed=confirmed,
            secret_read=read,
            pods_listed=read,
        )
        for status in ({}, READY_STATUS, lost(1), lost(9))
        for mode in ("Running", "Paused")
        for found in pods
        for secret in (None, a_secret())
        for template in (None, a_template(), a_template(workspace=EPHEMERAL))
        for confirmed in (False, True)
        for read in (False, True)
    ]


def test_no_pod_is_ever_deleted_or_made_on_the_word_of_a_cache() -> None:
    for world in _worlds():
        action: Action | None = plan(world)
        if isinstance(action, actions.DeletePod | actions.CreatePod):
            assert world.confirmed
        if isinstance(action, actions.CreatePod):
            assert not any(pod.metadata.is_owned_by(UID) for pod in world.pods)
            assert world.conversation.spec.mode == "Running"


def test_no_foreign_pod_is_ever_deleted() -> None:
    for world in _worlds():
        action = plan(world)
        if isinstance(action, actions.DeletePod):
            owners = {pod.metadata.uid: pod for pod in world.pods}
            assert owners[action.uid].metadata.is_owned_by(UID)
