"""The rules of design §3 that concern cold starts, each by its name."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from conversations.api.reasons import Reason
from conversations.core import plan as actions
from conversations.core.names import children_name
from conversations.core.plan import Action, plan
from conversations.core.restarts import RESTART_LIMIT, STABLE, backoff_seconds, counted_restarts
from conversations.core.world import Memory, Refusal, World
from tests.unit.core.samples import (
    CLOCK,
    EPHEMERAL,
    LEAVING,
    LOSSY,
    NOW,
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
    ago,
    deleted,
    ready_condition,
)

NAME = children_name(UID)
EMPTY_DIR = {"name": "workspace", "emptyDir": {}}
EPHEMERAL_POD = {**READY_POD, "volumes": [EMPTY_DIR]}
TERMINAL = {"phase": "Failed"}


def lost(count: int, seconds_ago: float = 0.0, pod_uid: str = POD_UID) -> dict[str, Any]:
    """The status after that many losses, the last one that long ago."""
    return {
        "conditions": [ready_condition("False", Reason.POD_LOST)],
        "sessionKeyHash": READY_STATUS["sessionKeyHash"],
        "restarts": count,
        "lastRestartTime": ago(seconds_ago),
        "lastRestartPodUID": pod_uid,
    }


def refused(world: World, seconds: float = 30.0) -> Memory:
    refusal = Refusal(Reason.QUOTA_EXCEEDED, "full", world.made_from, CLOCK + seconds)
    return Memory(refusal=refusal)


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


# --- rule 1 and 5: losses


def test_rule_1_a_pod_that_looks_missing_is_looked_for_live() -> None:
    world = a_world(a_conversation(READY_STATUS))
    assert plan(world) == actions.ListPods()
    action = plan(replace(world, pods_listed=True))
    assert isinstance(action, actions.RecordLoss)
    assert (action.pod_uid, action.reason) == (POD_UID, Reason.POD_LOST)


def test_a_pod_that_vanished_in_a_disruption_was_lost_to_that() -> None:
    status = READY_STATUS | {"conditions": [ready_condition("False", Reason.PREEMPTED)]}
    action = plan(a_world(a_conversation(status), pods_listed=True))
    assert isinstance(action, actions.RecordLoss)
    assert action.reason == Reason.PREEMPTED


def test_rule_5_a_recorded_loss_is_not_recorded_again() -> None:
    assert plan(a_world(a_conversation(lost(1)))) == actions.ReadConversation()


@pytest.mark.parametrize(
    ("count", "seconds_ago", "left"),
    [(1, 0, None), (2, 0, 10), (2, 4, 6), (2, 10, None), (3, 0, 20), (6, 0, 160), (2, -99, 10)],
)
def test_rule_5_replacements_back_off(count: int, seconds_ago: float, left: float | None) -> None:
    action = plan(a_world(a_conversation(lost(count, seconds_ago))))
    assert action == (actions.ReadConversation() if left is None else actions.Wait(left))


def test_rule_5_there_is_a_limit_and_a_changed_spec_is_a_new_chance() -> None:
    over = lost(RESTART_LIMIT + 1, 10_000)
    assert plan(a_world(a_conversation(over))) is None
    assert plan(a_world(a_conversation(over, generation=2))) == actions.ReadConversation()


def test_rule_5_ten_minutes_ready_begin_a_new_count() -> None:
    status = READY_STATUS | {"restarts": 4}
    conversation = a_conversation(status)
    since = NOW - timedelta(seconds=60)
    assert counted_restarts(conversation, NOW) == 5
    assert counted_restarts(conversation, since + STABLE) == 1


def test_back_off_grows_to_five_minutes() -> None:
    assert [backoff_seconds(n) for n in range(9)] == [0, 0, 10, 20, 40, 80, 160, 300, 300]


# --- rule 6: the Secret


def test_rule_6_a_lost_key_is_recorded_the_pods_go_and_then_a_new_key_is_made() -> None:
    world = a_world(a_conversation(READY_STATUS), secret=None, pods=[a_pod(**READY_POD)])
    assert plan(world) == actions.ReadSecret()
    world = replace(world, secret_read=True)
    assert plan(world) == actions.ListPods()
    world = replace(world, pods_listed=True)
    action = plan(world)
    assert isinstance(action, actions.RecordLoss)
    assert action.reason == Reason.SESSION_KEY_LOST
    world = replace(world, conversation=a_conversation(lost(1)), confirmed=True)
    assert plan(world) == actions.DeletePod(NAME, POD_UID)
    leaving = replace(world, pods=[a_pod(**READY_POD, meta=LEAVING)], deleted={POD_UID})
    assert plan(leaving) == actions.Wait(actions.LEAVING_SECONDS)
    assert plan(replace(world, pods=[])) == actions.CreateSecret()


def test_rule_6_a_cache_that_is_behind_loses_no_key() -> None:
    world = a_world(a_conversation(READY_STATUS), pods=[a_pod(**READY_POD)], secret_read=True)
    assert plan(world) is None


def test_a_pod_with_another_key_is_given_up() -> None:
    pods = [a_pod(key_hash="old", **READY_POD)]
    world = a_world(a_conversation(READY_STATUS), pods=pods, confirmed=True, secret_read=True)
    action = plan(world)
    assert isinstance(action, actions.RecordLoss)
    assert action.reason == Reason.SESSION_KEY_LOST
    world = replace(world, conversation=a_conversation(lost(1)))
    assert plan(world) == actions.DeletePod(NAME, POD_UID)


# --- rule 9: refusals


@pytest.mark.parametrize("make", [lambda: a_world(confirmed=True), lambda: a_world(secret=None)])
def test_rule_9_what_was_refused_is_left_alone_for_a_while(make: Callable[[], World]) -> None:
    world = make()
    world.memory = refused(world, 12.0)
    assert plan(world) == actions.Wait(12.0)
    world.memory = refused(world, 0.0)
    assert not isinstance(plan(world), actions.Wait)


def test_rule_9_a_changed_spec_or_template_is_tried_at_once() -> None:
    world = a_world(confirmed=True)
    memory = refused(world, 600.0)
    changed = a_world(a_conversation(generation=2), confirmed=True, memory=memory)
    assert plan(changed) == actions.ReadClaim()
    template = a_template(port=9000)
    assert plan(a_world(template=template, confirmed=True, memory=memory)) == actions.ReadClaim()


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
