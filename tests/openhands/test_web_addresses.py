"""What else is read of an attached conversation: its web addresses, its id, its history."""

import time
from collections.abc import AsyncIterator

import pytest
from openhands.events.async_event_store_wrapper import AsyncEventStoreWrapper
from openhands.storage.locations import get_conversation_event_filename

from conversations.openhands.v0 import addresses
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.misbehaviour import HTML, Answer, nothing, say, say_after
from tests.openhands.rig.outer import Outer
from tests.openhands.rig.running import ZIP, Running, open_running, send_zip
from tests.rig.api import Api
from tests.rig.waiting import eventually

USER = "ada@example.com"


@pytest.fixture(scope="module")
async def shared(module_outer: Outer, kubelet: Kubelet) -> AsyncIterator[Running]:
    """One conversation for all of this file."""
    async with open_running(module_outer, kubelet, "addresses-of-one", USER) as running:
        yield running


@pytest.fixture
def running(shared: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setattr(addresses, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(addresses, "FAILED_SECONDS", 0.0)
    shared.calm()
    return shared


async def test_c13_addresses_are_the_nested_servers(running: Running) -> None:
    url, hosts = "http://localhost:40000/?tkn=abc&folder=/workspace", {"http://localhost:1": 1}
    running.answer("vscode-url", say(200, {"vscode_url": url}))
    running.answer("web-hosts", say(200, {"hosts": hosts}))
    runtime = (await running.attach()).runtime
    assert (runtime.vscode_url, runtime.web_hosts) == (url, hosts)


async def test_c13_no_vscode_is_none(running: Running) -> None:
    runtime = (await running.attach()).runtime
    assert (runtime.vscode_url, runtime.web_hosts) == (None, {})


@pytest.mark.parametrize(
    "answer",
    [
        say(200, {"vscode_url": "javascript:alert(1)", "hosts": {"javascript:alert(1)": 1}}),
        say(200, {"vscode_url": 3, "hosts": [3]}),
        say(200, HTML),
        say(500, {"vscode_url": None, "hosts": None, "error": "no"}),
        nothing,
    ],
)
async def test_c13_an_address_that_none_would_give_is_an_error(
    running: Running, answer: Answer
) -> None:
    running.answer("vscode-url", answer)
    running.answer("web-hosts", answer)
    runtime = (await running.attach()).runtime
    with pytest.raises(RuntimeError, match="the "):
        _ = runtime.vscode_url
    with pytest.raises(RuntimeError, match="the "):
        _ = runtime.web_hosts


async def test_c13_a_pod_is_asked_for_addresses_once_a_minute(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "FRESH_SECONDS", 60.0)
    await running.attach()
    asked = len(running.nested.called("GET", "vscode-url"))
    for _ in range(20):
        await running.attach()
    assert len(running.nested.called("GET", "vscode-url")) == asked <= 1
    assert len(running.nested.called("GET", "web-hosts")) == asked


async def test_c13_silence_about_addresses_holds_nothing_up_for_long(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "ASK_SECONDS", 0.3)
    running.answer("vscode-url", say_after(3, say(200, {})))
    running.answer("web-hosts", say_after(3, say(200, {})))
    running.answer("zip-directory", send_zip)
    began = time.monotonic()
    assert (await running.get("zip-directory")).content == ZIP
    assert time.monotonic() - began < 2


async def test_c13_config_names_the_conversation(running: Running, api: Api) -> None:
    runtime = (await running.attach()).runtime
    assert runtime.sid == running.sid
    conversation = await api.get("conversations", runtime.runtime_id)
    assert conversation is not None
    assert conversation["spec"]["sessionID"] == running.sid


async def test_c13_the_history_is_the_outer_stores(running: Running) -> None:
    event = running.nested.add_event()
    path = get_conversation_event_filename(running.sid, event["id"], USER)
    conversation = await running.attach()
    await eventually(lambda: exists(running.outer, path), 20, lambda: f"no {path}")
    events = [e async for e in AsyncEventStoreWrapper(conversation.event_stream)]
    assert [e.id for e in events][-1] == event["id"]


async def exists(outer: Outer, path: str) -> bool:
    try:
        return bool(outer.file_store.read(path))
    except FileNotFoundError:
        return False
