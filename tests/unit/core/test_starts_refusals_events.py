"""What keeps a conversation from starting, and what people are told."""

from typing import Any

import msgspec
import pytest

from conversations.api.reasons import Reason
from conversations.core.events import build_event, news
from conversations.core.observed import Status
from conversations.core.readiness import Finding
from conversations.core.refusals import QUOTA_RETRY_SECONDS, explain_refusal, retry_seconds
from conversations.core.start import why_not_start
from tests.unit.core.samples import (
    NOW,
    a_condition,
    a_conversation,
    a_template,
    a_world,
    ready_condition,
)

TEMPLATE = {
    "pod": {
        "spec": {
            "containers": [
                {
                    "name": "runtime",
                    "image": "host/agent:1",
                    "env": [{"name": "REGION", "value": "eu"}],
                }
            ]
        }
    },
    "allowedImages": ["host/team/*:*"],
}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, None),
        ({"image": "host/agent:1"}, None),
        ({"image": "host/team/agent:2"}, None),
        ({"image": "evil/agent:1"}, Reason.IMAGE_NOT_ALLOWED),
        ({"env": [{"name": "A", "value": "1"}]}, None),
        ({"env": [{"name": "REGION", "value": "us"}]}, Reason.ENV_NOT_ALLOWED),
    ],
)
def test_what_a_conversation_may_ask_of_its_template(
    spec: dict[str, Any], reason: Reason | None
) -> None:
    finding = why_not_start(a_world(a_conversation(**spec), template=a_template(**TEMPLATE)))
    assert (finding.reason if finding else None) == reason


def test_a_missing_template_is_named() -> None:
    finding = why_not_start(a_world(a_conversation(template="big"), template=None))
    assert finding is not None
    assert (finding.reason, "'big'" in finding.message) == (Reason.TEMPLATE_NOT_FOUND, True)


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (403, 'pods "p" is forbidden: exceeded quota: q, requested: pods=1', "QuotaExceeded"),
        (403, 'pods "p" is forbidden: violates PodSecurity "restricted"', "PodRejected"),
        (403, "User cannot create resource pods", "PodRejected"),
        (422, "Pod is invalid: spec.containers[0].image: Required value", "PodRejected"),
        (422, "exceeded quota", "PodRejected"),
        (404, "namespaces not found", "PodRejected"),
    ],
)
def test_rule_9_a_403_is_many_things(status: int, message: str, reason: str) -> None:
    assert explain_refusal(status, message) == Finding(Reason(reason), message)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_rule_9_quota_is_tried_every_30_seconds_and_the_rest_at_the_resync(jitter: float) -> None:
    spread = 0.75 + jitter / 2
    assert retry_seconds(Reason.QUOTA_EXCEEDED, 600, jitter) == QUOTA_RETRY_SECONDS * spread
    assert retry_seconds(Reason.POD_REJECTED, 600, jitter) == 600 * spread


# --- events


def said(*conditions: dict[str, Any]) -> Status:
    return msgspec.convert({"conditions": list(conditions)}, Status)


QUOTA = ready_condition("False", Reason.QUOTA_EXCEEDED)
BOOTING = ready_condition("False", Reason.BOOTING)
READY = ready_condition()
REFUSED = a_condition("Paused", "False", Reason.PAUSE_REFUSED)
LOST = a_condition("WorkspaceLost", "True", Reason.POD_REPLACED)
DRIFT = a_condition("UpToDate", "False", Reason.SPEC_CHANGED)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([], [BOOTING], []),
        ([BOOTING], [READY], []),
        ([READY], [ready_condition("False", Reason.PAUSING)], []),
        ([READY], [ready_condition("False", Reason.PAUSED)], []),
        ([READY], [ready_condition("False", Reason.WAITING_FOR_OLD_POD)], []),
        ([READY], [READY, DRIFT], []),
        ([BOOTING], [QUOTA], [Reason.QUOTA_EXCEEDED]),
        ([QUOTA], [QUOTA], []),
        ([READY], [READY, REFUSED], [Reason.PAUSE_REFUSED]),
        ([READY], [QUOTA, LOST], [Reason.QUOTA_EXCEEDED, Reason.POD_REPLACED]),
        ([QUOTA, LOST], [READY, LOST], []),
    ],
)
def test_people_are_told_what_went_wrong_once(
    before: list[Any], after: list[Any], told: list[Reason]
) -> None:
    assert [finding.reason for finding in news(said(*before), said(*after))] == told


def test_two_operators_that_say_the_same_say_it_under_one_name() -> None:
    finding = Finding(Reason.POD_LOST, "gone")
    one = build_event(a_conversation(), "ns", finding, NOW)
    other = build_event(a_conversation(), "ns", finding, NOW.replace(minute=4, second=59))
    later = build_event(a_conversation(), "ns", finding, NOW.replace(minute=5))
    assert one["metadata"]["name"] == other["metadata"]["name"] != later["metadata"]["name"]
    assert one["involvedObject"]["uid"] == a_conversation().metadata.uid
    assert (one["type"], one["reason"]) == ("Warning", "PodLost")
