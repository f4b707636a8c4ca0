"""Kubernetes Events: what a person would want to be told.  None on the normal path."""

from datetime import datetime
from hashlib import sha256
from typing import Any

from conversations.api.group import API_VERSION, CONVERSATION_KIND
from conversations.api.reasons import ConditionType, Reason
from conversations.core.observed import Conversation, Status
from conversations.core.readiness import Finding

QUIET_SECONDS = 300
"""At most one Event per object and reason in this time."""
COMPONENT = "conversation-operator"

_NORMAL = {
    Reason.RUNTIME_READY,
    Reason.BOOTING,
    Reason.PAUSED,
    Reason.PAUSING,
    Reason.WAITING_FOR_OLD_POD,
    Reason.CONFIGURING,
    Reason.INPUTS_APPLIED,
    Reason.SETTINGS_CHANGED,
    Reason.AS_DESIRED,
    Reason.SPEC_CHANGED,
}
_TOLD = (
    ConditionType.READY,
    ConditionType.CONFIGURED,
    ConditionType.PAUSED,
    ConditionType.WORKSPACE_LOST,
)


def news(old: Status, new: Status) -> list[Finding]:
    """What became worth telling between two statuses."""
    told = []
    for kind in _TOLD:
        before, after = old.condition(kind), new.condition(kind)
        if after is None or after.reason in _NORMAL:
            continue
        finding = Finding(after.reason, after.message)
        if (before is None or before.reason != after.reason) and finding not in told:
            told.append(finding)
    return told


def build_event(
    conversation: Conversation, namespace: str, finding: Finding, now: datetime
) -> dict[str, Any]:
    """
    A Warning about the conversation.

    Its name is made from object, reason and five minutes' worth of time: a second operator that
    has the same to say meets 409.
    """
    meta = conversation.metadata
    slot = int(now.timestamp()) // QUIET_SECONDS
    digest = sha256(f"{meta.uid}/{finding.reason}/{slot}".encode()).hexdigest()[:16]
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta.name}.{digest}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": CONVERSATION_KIND,
            "namespace": namespace,
            "name": meta.name,
            "uid": meta.uid,
        },
        "type": "Warning",
        "reason": str(finding.reason),
        "message": finding.message[:1024],
        "count": 1,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": COMPONENT,
    }
