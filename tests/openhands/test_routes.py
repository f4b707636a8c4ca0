"""The rest of the outer routes that reach the manager, as OpenHands has them."""

from collections.abc import AsyncIterator

import httpx
import pytest
from openhands.server.routes import conversation as conversation_routes
from openhands.server.routes import manage_conversations
from openhands.storage.locations import get_conversation_dir

from tests.openhands.rig.asking import run
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.misbehaviour import nothing, say
from tests.openhands.rig.nested import Nested
from tests.openhands.rig.outer import Outer
from tests.openhands.rig.routes import managed, open_routes
from tests.rig.api import Api

SID = "routes-of-one"
RUNTIME = "conversations.openhands.v0.ConversationRuntime"


@pytest.fixture(scope="module")
async def nested(module_outer: Outer, kubelet: Kubelet) -> Nested:
    """The server of one conversation for all of this file."""
    await module_outer.save_metadata(SID)
    await run(module_outer, SID)
    nested = kubelet.nested(SID)
    nested.instead["GET", "vscode-url"] = say(200, {"vscode_url": "http://localhost:1/?tkn=a"})
    nested.instead["GET", "web-hosts"] = say(200, {"hosts": {"http://localhost:2": 2}})
    return nested


@pytest.fixture
async def routes(module_outer: Outer, nested: Nested) -> AsyncIterator[httpx.AsyncClient]:
    async with open_routes(module_outer.manager, conversation_routes) as routes:
        yield routes


async def get(routes: httpx.AsyncClient, end: str, sid: str = SID) -> httpx.Response:
    return await routes.get(f"/api/conversations/{sid}/{end}")


async def test_c13_vscode_url(routes: httpx.AsyncClient) -> None:
    answer = await get(routes, "vscode-url")
    assert (answer.status_code, answer.json()) == (200, {"vscode_url": "http://localhost:1/?tkn=a"})


async def test_c13_web_hosts(routes: httpx.AsyncClient) -> None:
    answer = await get(routes, "web-hosts")
    assert (answer.status_code, answer.json()) == (200, {"hosts": {"http://localhost:2": 2}})


@pytest.mark.parametrize("end", ["vscode-url", "web-hosts", "git/changes", "zip-directory"])
@pytest.mark.parametrize("sid", ["x" * 101, "a\\b", "nobody"])
async def test_c13_a_sid_that_cannot_be_is_no_500(
    routes: httpx.AsyncClient, end: str, sid: str
) -> None:
    assert (await get(routes, end, sid)).status_code in (400, 404)


async def test_c13_a_message_reaches_the_nested_server(
    routes: httpx.AsyncClient, nested: Nested
) -> None:
    path = f"/api/conversations/{SID}/message"
    answer = await routes.post(path, json={"message": "go on, größe"})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert nested.user_messages[-1] == "go on, größe"
    assert (await routes.post("/api/conversations/nobody/message", json={"message": "m"})).is_error


async def test_c13_an_event_reaches_the_nested_server(
    routes: httpx.AsyncClient, nested: Nested
) -> None:
    event = {"action": "message", "args": {"content": "by event"}}
    answer = await routes.post(f"/api/conversations/{SID}/events", json=event)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    [call] = nested.called("POST", "/events")[-1:]
    assert call.json == event


async def test_c13_a_message_that_is_lost_is_an_error(
    routes: httpx.AsyncClient, nested: Nested
) -> None:
    nested.instead["POST", "/events"] = nothing
    try:
        answer = await routes.post(f"/api/conversations/{SID}/message", json={"message": "m"})
    finally:
        del nested.instead["POST", "/events"]
    assert answer.status_code == 500
    assert nested.key not in answer.text


async def test_c13_microagents_say_that_they_are_not_served(routes: httpx.AsyncClient) -> None:
    answer = await get(routes, "microagents")
    assert answer.status_code == 500
    assert answer.json() == {"error": "Error getting microagents: unsupported_operation"}


async def test_the_delete_route_deletes_everything(
    outer: Outer, api: Api, test_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await outer.save_metadata(test_id)
    await run(outer, test_id)
    outer.config.runtime = RUNTIME
    monkeypatch.setattr(manage_conversations, "config", outer.config)
    with managed(outer.manager, manage_conversations):
        assert await manage_conversations._delete_v0_conversation(test_id, None) is True
        assert await manage_conversations._delete_v0_conversation(test_id, None) is False
    assert [c for c in await api.list("conversations") if c["spec"]["sessionID"] == test_id] == []
    with pytest.raises(FileNotFoundError):
        outer.file_store.list(get_conversation_dir(test_id))
