"""A loss is counted, and final: it is not concluded from one cache that is behind another."""

from conversations.core import actions
from conversations.core.plan import plan
from tests.unit.core.samples import (
    KEY_HASH,
    POD_UID,
    READY_POD,
    READY_STATUS,
    a_conversation,
    a_pod,
    a_secret,
    a_world,
)

OLD = "cd" * 32


def test_an_old_secret_in_the_cache_is_no_reason_to_give_up_a_new_pod() -> None:
    """Another operator has made a new Secret and a new pod; we have only heard of the pod."""
    world = a_world(
        a_conversation(READY_STATUS),
        secret=a_secret(OLD),
        pods=[a_pod(**READY_POD)],
        confirmed=True,
    )
    assert plan(world) == actions.ReadSecret()
    world.secret, world.secret_read = a_secret(KEY_HASH), True
    assert plan(world) is None


def test_an_old_pod_in_the_cache_is_not_counted_as_the_loss_of_its_successor() -> None:
    old = a_pod(key_hash=OLD, meta={"uid": "old-pod"}, **READY_POD)
    world = a_world(a_conversation(READY_STATUS), pods=[old], confirmed=True, secret_read=True)
    assert world.conversation.status.pod_uid == POD_UID
    assert plan(world) == actions.DeletePod(old.metadata.name, "old-pod")
