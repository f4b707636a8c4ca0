"""Where OpenHands' settings and configuration go, apart from what the nested server is told."""

import random
from base64 import b64decode

import pytest
from openhands.storage.data_models.conversation_status import ConversationStatus

from conversations.openhands.v0.refusals import Refused
from tests.openhands.rig.asking import wait_status
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.outer import Outer, Servers, some_settings
from tests.openhands.test_start import conversations_of
from tests.rig.api import Api

ERROR, RUNNING = ConversationStatus.ERROR, ConversationStatus.RUNNING
MIB = 1024 * 1024


async def test_the_image_of_the_settings_is_the_pods_or_an_error_that_can_be_cured(
    outer: Outer, api: Api, test_id: str
) -> None:
    asked = some_settings(sandbox_runtime_container_image="example.org/not:allowed")
    await outer.start(test_id, settings=asked)
    await wait_status(outer, test_id, ERROR)
    found = (await conversations_of(api, test_id))[0]
    assert found["spec"]["image"] == "example.org/not:allowed"
    reasons = {c["type"]: c["reason"] for c in found["status"]["conditions"]}
    assert reasons["Ready"] == "ImageNotAllowed"
    await outer.start(test_id)
    await wait_status(outer, test_id, RUNNING)


async def test_the_resource_factor_is_the_conversations(
    outer: Outer, api: Api, test_id: str
) -> None:
    await outer.start(test_id, settings=some_settings(remote_runtime_resource_factor=4))
    assert (await conversations_of(api, test_id))[0]["spec"]["resourceFactor"] == 4
    with pytest.raises(Refused, match="resourceFactor"):
        await outer.start(f"{test_id}-b", settings=some_settings(remote_runtime_resource_factor=3))


async def test_start_up_environment_is_a_secret(
    servers: Servers, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    sandbox = {"runtime_startup_env_vars": {"PROXY": "http://user:password@proxy:3128"}}
    async with servers.open(config={"sandbox": sandbox}) as outer:
        await outer.start(test_id)
        found = (await conversations_of(api, test_id))[0]
        name = found["metadata"]["name"]
        secret = await api.get("secrets", f"{name}.env")
        assert secret is not None
        assert b64decode(secret["data"]["PROXY"]) == b"http://user:password@proxy:3128"
        assert "password" not in str(found)
        await wait_status(outer, test_id, RUNNING)


async def test_a_replay_that_no_secret_can_hold_is_refused_in_words(
    outer: Outer, api: Api, test_id: str
) -> None:
    # Random, so that packing does not help.
    replay = random.Random(1).randbytes(MIB).hex()
    with pytest.raises(Refused, match="921600") as caught:
        await outer.start(test_id, replay_json=replay)
    assert (caught.value.status_code, len(caught.value.detail) < 300) == (400, True)
    assert await conversations_of(api, test_id) == []


async def test_an_installation_does_not_take_over_anothers_conversation(
    servers: Servers, test_id: str
) -> None:
    async with (
        servers.open() as mine,
        servers.open(installation=f"{test_id}-b") as theirs,
    ):
        await mine.start(test_id, "ada")
        with pytest.raises(Refused, match="installation"):
            await theirs.start(test_id, "ada")
        assert await theirs.manager.get_running_agent_loops() == set()
        await theirs.manager.close_session(test_id)
        assert await mine.manager.is_agent_loop_running(test_id)
