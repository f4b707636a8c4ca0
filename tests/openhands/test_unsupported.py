"""What a manager of nested servers does not do, and events that it passes on: C13, C14."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from openhands.core.config.llm_config import LLMConfig

from conversations.openhands.v0 import KubernetesConversationManager
from tests.openhands.rig.asking import run
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.misbehaviour import Answer
from tests.openhands.rig.outer import LLM_KEY, Outer, some_settings

Call = Callable[[KubernetesConversationManager], Any]

ASYNC: dict[str, Callable[[KubernetesConversationManager], Awaitable[object]]] = {
    "join_conversation": lambda m: m.join_conversation("a", "connection", some_settings(), None),
    "send_to_event_stream": lambda m: m.send_to_event_stream("connection", {}),
    "disconnect_from_session": lambda m: m.disconnect_from_session("connection"),
}


@pytest.mark.parametrize("method", ASYNC)
async def test_c13_the_unsupported_says_so(outer: Outer, method: str) -> None:
    with pytest.raises(ValueError, match="^unsupported_operation$"):
        await ASYNC[method](outer.manager)


async def test_c13_there_is_no_agent_session_here(outer: Outer) -> None:
    with pytest.raises(ValueError, match="^unsupported_operation$"):
        outer.manager.get_agent_session("a")


async def test_c13_there_are_no_connections_here(outer: Outer, test_id: str) -> None:
    await run(outer, test_id)
    assert await outer.manager.get_connections() == {}
    assert await outer.manager.get_connections("ada", {test_id}) == {}


async def test_c13_what_does_not_run_cannot_be_attached_to(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    assert await outer.manager.attach_to_conversation("unknown", None) is None
    kubelet.hold(test_id)
    await outer.start(test_id)
    assert await outer.manager.attach_to_conversation(test_id, None) is None


async def test_c13_a_completion_is_made_by_the_users_llm(outer: Outer) -> None:
    asked: list[Any] = []

    async def complete(request: web.Request) -> web.Response:
        asked.append((request.headers["Authorization"], await request.json()))
        message = {"role": "assistant", "content": "an answer"}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return web.json_response(
            {"id": "1", "object": "chat.completion", "created": 1, "model": "x", "choices": choices}
        )

    async with serving(complete) as url:
        config = LLMConfig(model="openai/gpt-4o", base_url=url, api_key=LLM_KEY, num_retries=0)
        said = await outer.manager.request_llm_completion(
            "remember_prompt", "a", config, [{"role": "user", "content": "a question"}]
        )
    assert said == "an answer"
    assert asked[0][0] == f"Bearer {LLM_KEY}"
    assert asked[0][1]["messages"][0]["content"] == "a question"


@contextlib.asynccontextmanager
async def serving(complete: Answer) -> AsyncIterator[str]:
    """An LLM on loopback."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def test_c14_an_event_goes_to_the_conversations_events(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    await run(outer, test_id)
    event = {"action": "message", "args": {"content": "ünï"}}
    await outer.manager.send_event_to_conversation(test_id, event)
    calls = kubelet.nested(test_id).called("POST", "/events")
    assert [(call.path, call.json) for call in calls] == [
        (f"/api/conversations/{test_id}/events", event)
    ]


async def test_c14_the_unknown_and_the_paused_are_value_errors(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    with pytest.raises(ValueError, match="unknown"):
        await outer.manager.send_event_to_conversation("unknown", {})
    await run(outer, test_id)
    await outer.manager.close_session(test_id)
    with pytest.raises(ValueError, match=test_id):
        await outer.manager.send_event_to_conversation(test_id, {})
