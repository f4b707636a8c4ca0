"""Starting conversations, and what their servers are told: C4, C5, C6."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from openhands.core.config.mcp_config import MCPConfig, MCPSHTTPServerConfig
from openhands.events.action import MessageAction
from openhands.integrations.provider import CustomSecret, ProviderToken
from openhands.integrations.service_types import ProviderType
from openhands.storage.data_models.conversation_status import ConversationStatus

from tests.openhands.rig.asking import info_of, run, wait_status
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.nested import CREATE_FIELDS
from tests.openhands.rig.outer import (
    LLM_KEY,
    SECRET,
    TOKEN,
    Outer,
    Servers,
    some_settings,
)
from tests.rig.api import Api, Manifest
from tests.rig.waiting import eventually

STARTING, RUNNING = ConversationStatus.STARTING, ConversationStatus.RUNNING


async def conversations_of(api: Api, sid: str) -> list[Manifest]:
    return [c for c in await api.list("conversations") if c["spec"].get("sessionID") == sid]


async def pods_of(api: Api, sid: str) -> list[Manifest]:
    owners = {c["metadata"]["uid"] for c in await conversations_of(api, sid)}
    return [
        pod
        for pod in await api.list("pods")
        if pod["metadata"]["ownerReferences"][0]["uid"] in owners
    ]


async def test_c04_a_start_answers_within_a_second(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    kubelet.hold(test_id)
    began = time.monotonic()
    info = await outer.start(test_id, "ada")
    assert time.monotonic() - began < 1
    assert info.status == STARTING
    assert info.conversation_id == test_id
    await kubelet.release(test_id)
    await wait_status(outer, test_id, RUNNING)
    again = await outer.start(test_id, "ada")
    assert again.status == RUNNING
    assert again.session_api_key == kubelet.nested(test_id).key


async def test_c04_any_number_of_starts_is_one_pod(
    servers: Servers, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    async with servers.open() as one, servers.open() as two:
        starts = [s.start(test_id, "ada") for s in (one, two) for _ in range(10)]
        infos = await asyncio.gather(*starts)
        assert {info.status for info in infos} == {STARTING}
        await wait_status(one, test_id, RUNNING)
        await wait_status(two, test_id, RUNNING)
    assert len(await conversations_of(api, test_id)) == 1
    assert len(await pods_of(api, test_id)) == 1
    assert len(kubelet.nested(test_id).called("POST", "/api/conversations")) == 1


async def test_c04_a_start_on_a_running_one_writes_nothing(
    outer: Outer, api: Api, test_id: str
) -> None:
    await run(outer, test_id, "ada")
    before = (await conversations_of(api, test_id))[0]["metadata"]["generation"]
    await outer.start(test_id, "ada")
    assert (await conversations_of(api, test_id))[0]["metadata"]["generation"] == before


def first_of_all() -> dict[str, Any]:
    """Everything that a new conversation can be told."""
    settings = some_settings(
        git_provider_tokens={
            ProviderType.GITHUB: ProviderToken(token=TOKEN, user_id="ada", host="git.example")
        },
        custom_secrets={
            "A_SECRET": CustomSecret(secret=SECRET, description="a"),
            "B_SECRET": CustomSecret(secret=SECRET + "-b", description=""),
        },
        selected_repository="ada/engine",
        selected_branch="main",
        git_provider=ProviderType.GITHUB,
        conversation_instructions="Be brief.",
        sandbox_api_key="sandbox-key",
    )
    message = MessageAction(content="hello", image_urls=["data:image/png;base64,AAAA"])
    return {"settings": settings, "initial_user_msg": message}


async def test_c05_the_order_is_settings_providers_secrets_create(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    await run(outer, test_id, "ada", **first_of_all())
    nested = kubelet.nested(test_id)
    posts = [call.path for call in nested.calls if call.method == "POST"]
    assert posts == [
        "/api/settings",
        "/api/add-git-providers",
        "/api/secrets",
        "/api/secrets",
        "/api/conversations",
    ]
    assert {call.key for call in nested.calls} == {nested.key}
    token = {"token": TOKEN, "user_id": "ada", "host": "git.example"}
    assert nested.tokens == {"github": token}
    assert {n: s["value"] for n, s in nested.secrets.items()} == {
        "A_SECRET": SECRET,
        "B_SECRET": SECRET + "-b",
    }
    assert nested.secrets["A_SECRET"]["description"] == "a"


async def test_c05_create_has_the_allowed_keys_and_the_sid(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    await run(outer, test_id, "ada", **first_of_all())
    body = kubelet.nested(test_id).called("POST", "/api/conversations")[0].json
    assert set(body) <= CREATE_FIELDS
    told = {key: value for key, value in body.items() if value is not None}
    assert told == {
        "conversation_id": test_id,
        "initial_user_msg": "hello",
        "image_urls": ["data:image/png;base64,AAAA"],
        "repository": "ada/engine",
        "selected_branch": "main",
        "git_provider": "github",
        "conversation_instructions": "Be brief.",
    }


async def test_c05_a_secret_of_an_earlier_start_gets_its_new_value(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    kubelet.hold(test_id)
    await outer.start(test_id, "ada", **first_of_all())
    nested = kubelet.nested(test_id)

    async def leave_stale_ones(request: Any) -> Any:
        for name in ("A_SECRET", "GONE_SINCE"):
            nested.secrets[name] = {"name": name, "description": "", "value": "stale"}
        nested.instead.clear()
        return await nested._get(request)

    nested.instead["GET", test_id] = leave_stale_ones
    await kubelet.release(test_id)
    await wait_status(outer, test_id, RUNNING)
    assert {n: s["value"] for n, s in nested.secrets.items()} == {
        "A_SECRET": SECRET,
        "B_SECRET": SECRET + "-b",
    }


async def test_c05_the_message_is_said_once(outer: Outer, kubelet: Kubelet, test_id: str) -> None:
    message = MessageAction(content="hello")
    await run(outer, test_id, "ada", initial_user_msg=message)
    await run(outer, test_id, "ada", initial_user_msg=message)
    await kubelet.restart_container(test_id)
    nested = kubelet.nested(test_id)
    await eventually(lambda: nested.called("POST", "/start"), 30, "started anew")
    await wait_status(outer, test_id, RUNNING)
    assert nested.user_messages == ["hello"]


async def test_c05_a_container_that_starts_again_is_told_the_newest_settings(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    await run(outer, test_id, "ada")
    info = await outer.start(test_id, "ada", settings=some_settings(llm_model="openai/newer"))
    assert info.status == RUNNING
    nested = kubelet.nested(test_id)
    assert nested.settings["llm_model"] == "openai/gpt-4o"
    await kubelet.restart_container(test_id)
    await eventually(lambda: nested.called("POST", "/start"), 30, "started anew")
    assert nested.settings["llm_model"] == "openai/newer"


async def test_c05_replay_instructions_and_mcp_are_delivered(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    mcp = MCPConfig(shttp_servers=[MCPSHTTPServerConfig(url="http://mcp.example/x")])
    replay = json.dumps([{"id": 0, "source": "user", "action": "message"}])
    settings = some_settings(mcp_config=mcp, conversation_instructions="Be brief.")
    kubelet.hold(test_id)
    await outer.start(test_id, "ada", settings=settings, replay_json=replay)
    nested = kubelet.nested(test_id)

    async def replayed(request: Any) -> Any:
        nested.say("from the replay")
        return await nested._create(request)

    nested.instead["POST", "/api/conversations"] = replayed
    await kubelet.release(test_id)
    await wait_status(outer, test_id, RUNNING)
    body = nested.called("POST", "/api/conversations")[0].json
    assert body["replay_json"] == replay
    assert body["conversation_instructions"] == "Be brief."
    # Not in the body of the create, which OpenHands logs with its keys.
    assert not body.get("mcp_config")
    servers = nested.settings["mcp_config"]["shttp_servers"]
    assert [server["url"] for server in servers] == ["http://mcp.example/x"]


@pytest.mark.parametrize("field", ["llm_api_key", "search_api_key"])
async def test_c06_keys_arrive_in_plain_text(
    outer: Outer, kubelet: Kubelet, test_id: str, field: str
) -> None:
    settings = some_settings(**{"llm_api_key": LLM_KEY, field: f"plain-{field}"})
    await run(outer, test_id, settings=settings)
    found: Mapping[str, Any] = kubelet.nested(test_id).settings
    assert found[field] == f"plain-{field}"
    assert "**" not in json.dumps(found)


async def test_c06_the_key_to_other_sandboxes_stays_here(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    await run(outer, test_id, settings=some_settings(sandbox_api_key="plain"))
    assert not kubelet.nested(test_id).settings.get("sandbox_api_key")


async def test_c06_tokens_and_secrets_are_no_settings(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    await run(outer, test_id, **first_of_all())
    found = json.dumps(kubelet.nested(test_id).settings)
    assert TOKEN not in found
    assert SECRET not in found


async def test_c04_a_paused_one_is_resumed_by_a_start(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    await run(outer, test_id, "ada")
    before = kubelet.pod_of(test_id)
    await outer.manager.close_session(test_id)
    assert await info_of(outer, test_id) is None
    info = await outer.start(test_id, "ada")
    assert info.status == STARTING
    await wait_status(outer, test_id, RUNNING)
    assert kubelet.pod_of(test_id) != before
