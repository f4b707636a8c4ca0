"""What `attach_to_conversation` serves: zip and git, through OpenHands' own routes."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openhands.core.exceptions import AgentRuntimeUnavailableError

from conversations.openhands.v0 import addresses, attached
from tests.openhands.rig.asking import run
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.misbehaviour import HTML, Answer, half_a_body, nothing, say
from tests.openhands.rig.outer import Outer
from tests.openhands.rig.routes import open_routes
from tests.openhands.rig.running import ZIP, Running, open_running, send_zip

USER = "ada@example.com"
ROUTES = ("zip-directory", "git/changes", "git/diff?path=a")


@pytest.fixture(scope="module")
async def shared(module_outer: Outer, kubelet: Kubelet) -> AsyncIterator[Running]:
    """One conversation for all of this file."""
    async with open_running(module_outer, kubelet, "attached-one", USER) as running:
        yield running


@pytest.fixture
def running(shared: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Running:
    monkeypatch.setattr(addresses, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(addresses, "FAILED_SECONDS", 0.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shared.calm()
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
    got = await running.get("git/diff", path="a b/ü&#.py")
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
    got = await running.get(route, path="a")
    assert got.status_code == 500
    assert "the " in got.json()["error"]
    assert "<html>" not in got.text


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
