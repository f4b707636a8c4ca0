"""What is lost is looked for, recorded, and replaced with back-off: rules 1, 5, 6 and 9 of design §3."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from conversations.api.reasons import Reason
from conversations.core import actions
from conversations.core.plan import LEAVING_SECONDS, plan
from conversations.core.restarts import RESTART_LIMIT, STABLE, backoff_seconds, counted_restarts
from conversations.core.world import World
from tests.unit.core.samples import (
    LEAVING,
    NOW,
    POD_UID,
    READY_POD,
    READY_STATUS,
    a_conversation,
    a_pod,
    a_template,
    a_world,
    ready_condition,
)
from tests.unit.core.worlds import (
    NAME,
    lost,
    refused,
)

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
    assert plan(leaving) == actions.Wait(LEAVING_SECONDS)
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
