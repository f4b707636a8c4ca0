"""A conversation that is started again while it is being closed: C4 and C12 at once."""

import asyncio

import pytest
from openhands.storage.data_models.conversation_status import ConversationStatus

from tests.openhands.rig.asking import run, wait_status
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.misbehaviour import say, say_after
from tests.openhands.rig.outer import Servers
from tests.openhands.test_start import conversations_of, pods_of
from tests.rig.api import Api
from tests.rig.waiting import eventually

RUNNING = ConversationStatus.RUNNING


@pytest.mark.parametrize("policy", ["Pause", "Delete"])
async def test_c12_the_last_wish_is_what_happens(
    servers: Servers, api: Api, kubelet: Kubelet, test_id: str, policy: str
) -> None:
    async with servers.open(close_policy=policy) as outer:
        await run(outer, test_id)
        before = [pod["metadata"]["uid"] for pod in await pods_of(api, test_id)]
        uid = (await conversations_of(api, test_id))[0]["metadata"]["uid"]
        nested = kubelet.nested(test_id)
        nested.instead["POST", "/stop"] = say_after(2, say(200, {}))
        closing = asyncio.create_task(outer.manager.close_session(test_id))
        await eventually(lambda: nested.called("POST", "/stop"), 10, "the agent is told to stop")
        await outer.start(test_id)
        await closing
        # Its agent was stopped: the pod is used up, whatever is wanted by then.

        async def another_pod() -> bool:
            return [pod["metadata"]["uid"] for pod in await pods_of(api, test_id)] not in (
                [],
                before,
            )

        await eventually(another_pod, 40, "another pod")
        await wait_status(outer, test_id, RUNNING)
        assert [c["metadata"]["uid"] for c in await conversations_of(api, test_id)] == [uid]
