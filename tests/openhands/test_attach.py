"""What `attach_to_conversation` serves: zip, git, addresses and config, through OpenHands' own routes."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from openhands.core.exceptions import AgentRuntimeUnavailableError
from openhands.events.async_event_store_wrapper import AsyncEventStoreWrapper
from openhands.storage.locations import get_conversation_event_filename

from conversations.openhands.v0 import addresses, attached
from tests.openhands.rig.asking import run
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.misbehaviour import HTML, Answer, half_a_body, nothing, say, say_after
from tests.openhands.rig.nested import Nested
from tests.openhands.rig.outer import Outer
from tests.openhands.rig.routes import open_routes
from tests.rig.api import Api
from tests.rig.waiting import eventually

USER = "ada@example.com"
ZIP = bytes(range(256)) * 20_000
ROUTES = ("zip-directory", "git/changes", "git/diff?path=a")


async def send_zip(request: web.Request) -> web.StreamResponse:
    return web.Response(body=ZIP, content_type="application/zip")


@dataclass
class Running:
    """A conversation that serves, and OpenHands' routes for its user."""

    sid: str
    nested: Nested
    outer: Outer
    routes: httpx.AsyncClient

    def answer(self, end: str, answer: Answer) -> None:
        self.nested.instead["GET", end] = answer

    async def get(self, end: str, sid: str | None = None) -> httpx.Response:
        return await self.routes.get(f"/api/conversations/{sid or self.sid}/{end}")

    async def attach(self) -> attached.AttachedConversation:
        found = await self.outer.manager.attach_to_conversation(self.sid, USER)
        assert found is not None
        return found  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
async def shared(module_outer: Outer, kubelet: Kubelet) -> AsyncIterator[Running]:
    """One conversation for all of this file."""
    sid = "attached-one"
    await run(module_outer, sid, USER)
    async with open_routes(module_outer.manager, user=USER) as routes:
        yield Running(sid, kubelet.nested(sid), module_outer, routes)


@pytest.fixture
def running(shared: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Running:
    monkeypatch.setattr(addresses, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(addresses, "FAILED_SECONDS", 0.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shared.nested.instead.clear()
    shared.nested.calls.clear()
    shared.answer("vscode-url", say(200, {"vscode_url": None}))
    shared.answer("web-hosts", say(200, {"hosts": {}}))
    return shared


def files_in(folder: Path) -> list[str]:
    return os.listdir(folder)


# --- whom it attaches to


@pytest.mark.parametrize("route", ROUTES)
async def test_c13_unknown_is_404(running: Running, route: str) -> None:
    answer = await running.get(route, "nobody")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "Conversation nobody not found"}


async def test_c13_another_users_is_404(running: Running) -> None:
    for user in ("eve", None, ""):
        assert await running.outer.manager.attach_to_conversation(running.sid, user) is None
        async with open_routes(running.outer.manager, user=user) as routes:
            got = await routes.get(f"/api/conversations/{running.sid}/zip-directory")
            assert got.status_code == 404
    for end in ("vscode-url", "web-hosts", "zip-directory"):
        assert running.nested.called("GET", end) == []


async def test_c13_starting_and_paused_are_404(running: Running, kubelet: Kubelet) -> None:
    outer = running.outer
    kubelet.hold("attached-later")
    await outer.start("attached-later", USER)
    assert await outer.manager.attach_to_conversation("attached-later", USER) is None
    await kubelet.release("attached-later")
    await run(outer, "attached-later", USER)
    assert await outer.manager.attach_to_conversation("attached-later", USER) is not None
    await outer.manager.close_session("attached-later")
    assert await outer.manager.attach_to_conversation("attached-later", USER) is None


async def test_c13_detaching_changes_nothing(running: Running) -> None:
    conversation = await running.attach()
    await running.outer.manager.detach_from_conversation(conversation)
    await running.outer.manager.detach_from_conversation(conversation)
    assert await running.outer.manager.is_agent_loop_running(running.sid)


# --- zip


async def test_c13_zip_arrives_whole_and_leaves_no_file(running: Running, tmp_path: Path) -> None:
    running.answer("zip-directory", send_zip)
    answer = await running.get("zip-directory")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.content == ZIP
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    "answer",
    [say(500, {"detail": "Failed to zip workspace"}), say(404, HTML), half_a_body, nothing],
)
async def test_c13_a_zip_that_fails_is_500_and_leaves_no_file(
    running: Running, answer: Answer, tmp_path: Path
) -> None:
    running.answer("zip-directory", answer)
    got = await running.get("zip-directory")
    assert got.status_code == 500
    assert got.json()["error"].startswith("Error zipping workspace: the ")
    assert files_in(tmp_path) == []


async def test_c13_a_zip_without_end_is_given_up(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attached, "MAX_ZIP_BYTES", len(ZIP) - 1)
    running.answer("zip-directory", send_zip)
    got = await running.get("zip-directory")
    assert got.status_code == 500
    assert "larger than" in got.json()["error"]
    assert files_in(tmp_path) == []


# --- git


async def test_c13_git_changes(running: Running) -> None:
    changes = [{"status": "M", "path": "größe.py"}, {"status": "A", "path": "a b"}]
    running.answer("git/changes", say(200, changes))
    assert (await running.get("git/changes")).json() == changes


async def test_c13_no_repository_is_404(running: Running) -> None:
    running.answer("git/changes", say(404, {"error": "Not a git repository"}))
    got = await running.get("git/changes")
    assert (got.status_code, got.json()) == (404, {"error": "Not a git repository"})


async def test_c13_git_diff_of_an_odd_path(running: Running) -> None:
    diff = {"original": "", "modified": "new\n"}
    running.answer("git/diff", say(200, diff))
    got = await running.routes.get(
        f"/api/conversations/{running.sid}/git/diff", params={"path": "a b/ü&#.py"}
    )
    assert got.json() == diff
    [call] = running.nested.called("GET", "git/diff")
    assert call.query == {"path": "a b/ü&#.py"}


@pytest.mark.parametrize(
    "answer",
    [
        say(500, {"error": "words of git"}),
        say(404, {"detail": "Conversation not found"}),
        say(200, HTML),
        say(200, [{"path": 3}]),
        say(200, {"original": 3}),
        half_a_body,
        nothing,
    ],
)
@pytest.mark.parametrize("route", ["git/changes", "git/diff"])
async def test_c13_git_errors_are_500_in_words(
    running: Running, route: str, answer: Answer
) -> None:
    running.answer(route, answer)
    got = await running.get(f"{route}?path=a")
    assert got.status_code == 500
    assert "the " in got.json()["error"]
    assert "<html>" not in got.text


# --- addresses and config


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


# --- threads


async def test_a_blocking_method_on_the_loop_is_refused_instead_of_blocking(
    running: Running,
) -> None:
    runtime = (await running.attach()).runtime
    with pytest.raises(RuntimeError, match="event loop"):
        runtime.get_git_changes("/")


async def test_what_stops_running_meanwhile_is_unavailable(
    running: Running, kubelet: Kubelet
) -> None:
    await run(running.outer, "attached-closing", USER)
    conversation = await running.outer.manager.attach_to_conversation("attached-closing", USER)
    await running.outer.manager.close_session("attached-closing")
    with pytest.raises(AgentRuntimeUnavailableError, match="is not running"):
        await asyncio.to_thread(conversation.runtime.get_git_changes, "/")
