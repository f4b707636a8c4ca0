"""The status says what is seen, and is written only when that differs."""

from dataclasses import replace

import msgspec
import pytest

from conversations.api.reasons import ConditionType, Reason
from conversations.core.conditions import MAX_MESSAGE
from conversations.core.status import compute_status, status_patch
from conversations.core.world import Memory, World
from tests.unit.core.samples import (
    CLOCK,
    EPHEMERAL,
    KEY_HASH,
    LEAVING,
    LOSSY,
    NOW,
    POD_UID,
    READY_POD,
    READY_STATUS,
    a_conversation,
    a_pod,
    a_template,
    a_world,
    runtime,
)
from tests.unit.core.worlds import (
    EPHEMERAL_POD,
    LATER,
    NAME,
    UNPULLABLE,
    paused,
    ready_world,
    reason,
    refused_world,
    settled,
    worn_out,
)

CASES: list[tuple[str, World, Reason, str]] = [
    ("new", a_world(secret=None), Reason.BOOTING, "Pending"),
    ("ready", ready_world(), Reason.RUNTIME_READY, "Running"),
    ("booting", a_world(pods=[a_pod()]), Reason.BOOTING, "Pending"),
    ("no template", a_world(template=None), Reason.TEMPLATE_NOT_FOUND, "Failed"),
    ("no template, but a pod", ready_world(template=None), Reason.RUNTIME_READY, "Running"),
    ("image", a_world(a_conversation(image="evil:1")), Reason.IMAGE_NOT_ALLOWED, "Failed"),
    (
        "blueprint",
        a_world(template=a_template(pod={"spec": {"containers": "none"}})),
        Reason.POD_REJECTED,
        "Failed",
    ),
    ("refused", refused_world(), Reason.QUOTA_EXCEEDED, "Pending"),
    ("limit", a_world(worn_out()), Reason.RESTART_LIMIT_REACHED, "Failed"),
    ("paused", paused(), Reason.PAUSED, "Paused"),
    ("paused, never started", paused(secret=None), Reason.PAUSED, "Paused"),
    ("pausing", paused(pods=[a_pod(**READY_POD)]), Reason.PAUSING, "Pending"),
    (
        "pausing, on its way out",
        paused(pods=[a_pod(**READY_POD, meta=LEAVING)]),
        Reason.PAUSING,
        "Pending",
    ),
    (
        "pause refused",
        paused(pods=[a_pod(**EPHEMERAL_POD)], template=a_template(workspace=EPHEMERAL)),
        Reason.RUNTIME_READY,
        "Running",
    ),
    (
        "key lost",
        a_world(a_conversation(READY_STATUS), secret=None, pods=[a_pod(**READY_POD)]),
        Reason.SESSION_KEY_LOST,
        "Pending",
    ),
    (
        "old pod",
        a_world(a_conversation(READY_STATUS), pods=[a_pod(**READY_POD, meta=LEAVING)]),
        Reason.WAITING_FOR_OLD_POD,
        "Pending",
    ),
    (
        "stopped answering",
        a_world(
            a_conversation(READY_STATUS),
            pods=[a_pod(phase="Running", containerStatuses=[runtime()])],
        ),
        Reason.NOT_RESPONDING,
        "Pending",
    ),
]


@pytest.mark.parametrize(
    ("world", "why", "phase"), [pytest.param(w, r, p, id=i) for i, w, r, p in CASES]
)
def test_ready_and_phase(world: World, why: Reason, phase: str) -> None:
    status = compute_status(world)
    assert (reason(status), status.phase) == (why, phase)
    ready = status.condition(ConditionType.READY)
    assert ready is not None
    assert (ready.status == "True") is (why == Reason.RUNTIME_READY)
    assert (status.url is not None) is (why == Reason.RUNTIME_READY)


@pytest.mark.parametrize("world", [pytest.param(w, id=i) for i, w, _, _ in CASES])
def test_i6_a_status_once_written_is_not_written_again(world: World) -> None:
    after = settled(world)
    again = compute_status(replace(after, now=LATER, clock=CLOCK + 180))
    assert status_patch(after.conversation.status, again) == {}


@pytest.mark.parametrize("world", [pytest.param(w, id=i) for i, w, _, _ in CASES])
def test_i6_two_operators_agree_whatever_they_remember(world: World) -> None:
    after = settled(world)
    other = replace(after, memory=Memory(started_at=CLOCK - 99, unsettled_since=CLOCK - 99))
    if world.refusal is None:
        assert status_patch(after.conversation.status, compute_status(other)) == {}


def test_i3_ready_does_not_outlive_its_pod() -> None:
    ready = settled(ready_world())
    for pods in ([], [a_pod(phase="Failed")], [a_pod(**READY_POD, meta=LEAVING)]):
        status = compute_status(replace(ready, pods=pods))
        assert not status.is_true(ConditionType.READY)
        assert status.url is None


def test_what_a_ready_conversation_shows() -> None:
    status = compute_status(ready_world())
    assert status.pod_name == status.session_key_secret == status.workspace == NAME
    assert (status.pod_uid, status.session_key_hash) == (POD_UID, KEY_HASH)
    assert status.url == "http://10.1.2.3:8000"
    assert reason(status, ConditionType.UP_TO_DATE) == Reason.AS_DESIRED


def test_an_ipv6_pod_has_a_url_too() -> None:
    pod = a_pod(**(READY_POD | {"podIP": "fd00::7"}))
    assert compute_status(ready_world(pods=[pod])).url == "http://[fd00::7]:8000"


def test_transition_time_moves_only_when_the_status_flips() -> None:
    world = settled(a_world(pods=[a_pod()]))
    later = replace(world, now=LATER, pods=[a_pod(**UNPULLABLE)])
    unpullable = compute_status(later).condition(ConditionType.READY)
    assert unpullable is not None and unpullable.last_transition_time == NOW
    ready = compute_status(replace(world, now=LATER, pods=[a_pod(**READY_POD)]))
    turned = ready.condition(ConditionType.READY)
    assert turned is not None and turned.last_transition_time == LATER


def test_i7_what_kubelet_says_anew_with_every_try_is_written_once() -> None:
    world = settled(a_world(pods=[a_pod(**UNPULLABLE)]))
    again = a_pod(
        containerStatuses=[runtime("waiting", reason="ImagePullBackOff", message="Back-off 20s")]
    )
    assert (
        status_patch(world.conversation.status, compute_status(replace(world, pods=[again]))) == {}
    )


def test_messages_are_cut_to_what_the_schema_takes() -> None:
    pod = a_pod(phase="Failed", message="x" * 5000)
    ready = compute_status(a_world(pods=[pod])).condition(ConditionType.READY)
    assert ready is not None and len(ready.message) == MAX_MESSAGE


def test_a_changed_spec_is_reported_and_the_pod_stays_ready() -> None:
    world = settled(ready_world())
    spec = msgspec.structs.replace(world.conversation.spec, image="registry.example/agent:2")
    changed = msgspec.structs.replace(world.conversation, spec=spec)
    status = compute_status(replace(world, conversation=changed))
    assert reason(status, ConditionType.UP_TO_DATE) == Reason.SPEC_CHANGED
    assert status.is_true(ConditionType.READY)


def test_a_vanished_template_is_reported_and_the_pod_stays_ready() -> None:
    status = compute_status(ready_world(template=None))
    assert reason(status, ConditionType.UP_TO_DATE) == Reason.TEMPLATE_NOT_FOUND
    assert status.is_true(ConditionType.READY)


def test_a_refused_pause_is_said_beside_ready() -> None:
    world = paused(pods=[a_pod(**EPHEMERAL_POD)], template=a_template(workspace=EPHEMERAL))
    status = compute_status(world)
    assert reason(status, ConditionType.PAUSED) == Reason.PAUSE_REFUSED
    assert not status.is_true(ConditionType.PAUSED)


def test_an_accepted_loss_on_pause_forgets_the_workspace() -> None:
    status = {"workspace": "emptyDir"}
    world = paused(status=status, template=a_template(workspace=LOSSY))
    assert compute_status(world).workspace is None
    assert compute_status(paused(status={"workspace": NAME})).workspace == NAME


def test_a_pause_begins_a_new_count_of_restarts() -> None:
    assert compute_status(paused(status={"restarts": 5})).restarts is None
    assert compute_status(a_world(a_conversation({"restarts": 5}))).restarts == 5


def test_the_key_hash_outlives_the_secret_so_that_its_loss_is_seen() -> None:
    status = compute_status(a_world(a_conversation(READY_STATUS), secret=None))
    assert (status.session_key_hash, status.session_key_secret) == (KEY_HASH, None)


# --- startup time


def test_startup_is_measured_by_who_saw_it_begin_and_kept_for_that_pod() -> None:
    world = ready_world(memory=Memory(started_at=CLOCK - 1.5))
    assert compute_status(world).startup_milliseconds == 1500
    assert compute_status(ready_world()).startup_milliseconds is None
    old = a_conversation(READY_STATUS | {"startupMilliseconds": 800})
    assert compute_status(ready_world(conversation=old)).startup_milliseconds == 800
    other = a_conversation(READY_STATUS | {"startupMilliseconds": 800, "podUID": "before"})
    assert compute_status(ready_world(conversation=other)).startup_milliseconds is None
