"""F1 to F6: the file methods, through OpenHands' own routes, from the nested server's answers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from aiohttp import web

from conversations.openhands.v0 import files as files_module
from tests.openhands.rig.asking import run
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.misbehaviour import HTML, Answer, half_a_body, nothing, say, say_after
from tests.openhands.rig.nested import Nested
from tests.openhands.rig.outer import Outer
from tests.openhands.rig.routes import open_routes

KINDS = ("list-files", "select-file", "upload-files")
ODD_NAMES = [
    "two words.txt",
    "größe-日本.txt",
    "a&b=c.txt",
    "x#y?z%20.txt",
    "plus+plus.txt",
    "it's;.txt",
]


@dataclass
class Running:
    """A conversation that serves, and two ways to ask for its files."""

    sid: str
    nested: Nested
    outer: Outer
    routes: httpx.AsyncClient

    def disturb(self, kind: str, answer: Answer) -> None:
        method = "POST" if kind == "upload-files" else "GET"
        self.nested.instead[method, kind] = answer

    async def ask(self, kind: str, **params: str) -> httpx.Response:
        path = f"/api/conversations/{self.sid}/{kind}"
        if kind == "upload-files":
            return await self.routes.post(path, files=[("files", ("up.txt", b"bytes"))])
        if kind == "select-file":
            params.setdefault("file", "some.txt")
        return await self.routes.get(path, params=params)


@pytest.fixture(scope="module")
async def shared(module_outer: Outer, kubelet: Kubelet) -> AsyncIterator[Running]:
    """One conversation for all of this file."""
    sid = "files-of-one"
    await run(module_outer, sid)
    async with open_routes(module_outer.manager) as routes:
        yield Running(sid, kubelet.nested(sid), module_outer, routes)


@pytest.fixture
def running(shared: Running) -> Running:
    shared.nested.instead.clear()
    shared.nested.calls.clear()
    shared.nested.volume.files.clear()
    return shared


# --- F1


@pytest.mark.parametrize("kind", KINDS)
async def test_f1_what_does_not_run_is_404_with_the_reason(running: Running, kind: str) -> None:
    other = Running("nobody-of-that-id", running.nested, running.outer, running.routes)
    answer = await other.ask(kind)
    assert answer.status_code == 404
    assert answer.json() == {"error": "Conversation nobody-of-that-id is not running"}


async def test_f1_it_is_a_value_error(running: Running) -> None:
    manager, words = running.outer.manager, "Conversation nobody is not running"
    with pytest.raises(ValueError, match=words):
        await manager.list_files("nobody")
    with pytest.raises(ValueError, match=words):
        await manager.select_file("nobody", "f")
    with pytest.raises(ValueError, match=words):
        await manager.upload_files("nobody", [("f", b"")])


async def test_f1_starting_is_not_running(running: Running, kubelet: Kubelet) -> None:
    kubelet.hold("files-starting")
    await running.outer.start("files-starting")
    with pytest.raises(ValueError, match="Conversation files-starting is not running"):
        await running.outer.manager.list_files("files-starting")


# --- F2


async def test_f2_the_list_is_returned_unchanged(running: Running) -> None:
    names = ["b/", "a.txt", "/workspace/project/c.txt", ""]
    running.disturb("list-files", say(200, names))
    assert await running.outer.manager.list_files(running.sid) == names


@pytest.mark.parametrize(
    ("path", "query"), [(None, {}), ("", {}), ("sub/dir", {"path": "sub/dir"})]
)
async def test_f2_a_path_is_sent_only_if_there_is_one(
    running: Running, path: str | None, query: dict[str, str]
) -> None:
    await running.outer.manager.list_files(running.sid, path)
    [call] = running.nested.called("GET", f"/api/conversations/{running.sid}/list-files")
    assert call.query == query


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 502, 503])
async def test_f2_f4_the_nested_status_is_the_answers(running: Running, status: int) -> None:
    for kind in ("list-files", "upload-files"):
        running.disturb(kind, say(status, {"error": "words"}))
        answer = await running.ask(kind)
        assert answer.status_code == status
        assert answer.json() == {"error": f"Runtime returned error: {status}"}


@pytest.mark.parametrize(
    "answer",
    [
        say(200, HTML),
        say(200, ""),
        say(200, {"no": "list"}),
        say(200, [1, None]),
        say(200, ["\ud800"]),
        say(200, "[" * 100_000),
        say(204, ""),
        say(301, ""),
        half_a_body,
        nothing,
    ],
)
@pytest.mark.parametrize("kind", ["list-files", "upload-files"])
async def test_f2_f4_an_answer_without_sense_is_502(
    running: Running, kind: str, answer: Answer
) -> None:
    running.disturb(kind, answer)
    got = await running.ask(kind)
    assert (got.status_code, got.json()) == (502, {"error": "Runtime returned error: 502"})


@pytest.mark.parametrize("kind", KINDS)
async def test_f2_f3_f4_too_slow_is_504(
    running: Running, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(files_module, "UPLOAD_SECONDS", 0.3)
    running.disturb(kind, say_after(2, say(200, [])))
    answer = await running.ask(kind)
    assert (answer.status_code, answer.json()) == (504, {"error": "Request to runtime timed out"})


@pytest.mark.parametrize("kind", KINDS)
async def test_f2_f3_f4_nobody_listening_is_502(
    running: Running, kubelet: Kubelet, kind: str
) -> None:
    await kubelet.unplug(running.sid)
    try:
        answer = await running.ask(kind)
    finally:
        await kubelet.plug(running.sid)
    assert answer.status_code == 502
    assert answer.json() == {"error": "Unable to connect to runtime"}
    assert (await running.ask("list-files")).status_code == 200


# --- F3


async def test_f3_text_is_text(running: Running) -> None:
    running.nested.volume.files["some.txt"] = "größe\n".encode()
    assert await running.outer.manager.select_file(running.sid, "some.txt") == ("größe\n", None)
    answer = await running.ask("select-file")
    assert (answer.status_code, answer.json()) == (200, {"code": "größe\n"})


async def test_f3_an_empty_file_is_200(running: Running) -> None:
    running.nested.volume.files["some.txt"] = b""
    assert await running.outer.manager.select_file(running.sid, "some.txt") == ("", None)
    answer = await running.ask("select-file")
    assert (answer.status_code, answer.json()) == (200, {"code": ""})


async def test_f3_binary_is_415(running: Running) -> None:
    running.nested.volume.files["some.txt"] = b"\xff\xfe\x00"
    selected = await running.outer.manager.select_file(running.sid, "some.txt")
    assert selected == (None, "BINARY_FILE:some.txt")
    answer = await running.ask("select-file")
    assert answer.status_code == 415
    assert answer.json() == {"error": "Unable to open binary file: some.txt"}


async def test_f3_the_nested_servers_words_are_the_error(running: Running) -> None:
    running.disturb("select-file", say(500, {"error": "no such file"}))
    assert await running.outer.manager.select_file(running.sid, "f") == (None, "no such file")
    answer = await running.ask("select-file")
    assert answer.status_code == 500
    assert answer.json() == {"error": "Error opening file: no such file"}


@pytest.mark.parametrize(
    "answer",
    [
        say(500, HTML),
        say(503, ""),
        say(500, {"error": 3}),
        say(500, ["error"]),
        say(404, {"detail": "Conversation not found"}),
        say(302, ""),
        say(200, HTML),
        say(200, {"code": None}),
        say(200, {"code": 3}),
        say(200, []),
        half_a_body,
        nothing,
    ],
)
async def test_f3_any_other_answer_is_an_error_in_words(running: Running, answer: Answer) -> None:
    running.disturb("select-file", answer)
    content, error = await running.outer.manager.select_file(running.sid, "f")
    assert content is None
    assert error is not None
    assert "the runtime" in error
    assert "html" not in error
    got = await running.ask("select-file")
    assert (got.status_code, got.json()) == (500, {"error": f"Error opening file: {error}"})


# --- F4


async def test_f4_bytes_and_names_arrive(running: Running) -> None:
    every_byte = bytes(range(256)) * 4096
    uploads = [("up.bin", every_byte), ("empty", b""), ("last.txt", b"\r\n--")]
    uploaded, skipped = await running.outer.manager.upload_files(running.sid, uploads)
    assert running.nested.volume.files == dict(uploads)
    assert (uploaded, skipped) == (["up.bin", "empty", "last.txt"], [])


async def test_f4_partial_failure_keeps_the_order(running: Running) -> None:
    told = {
        "uploaded_files": ["/w/3", "/w/1"],
        "skipped_files": [{"name": "2", "reason": "no"}, {"name": "0", "reason": "never"}],
    }
    running.disturb("upload-files", say(200, told))
    assert (await running.ask("upload-files")).json() == told


async def test_f4_an_upload_may_take_longer_than_5_seconds(running: Running) -> None:
    running.disturb("upload-files", say_after(6, say(200, {"uploaded_files": ["/w/up.txt"]})))
    answer = await running.ask("upload-files")
    assert answer.json() == {"uploaded_files": ["/w/up.txt"], "skipped_files": []}


async def test_f4_a_large_upload_is_not_copied_as_a_whole(running: Running) -> None:
    sizes: list[int] = []

    async def count(request: web.Request) -> web.StreamResponse:
        sizes.append(len(await request.read()))
        return web.json_response({"uploaded_files": ["/w/big"], "skipped_files": []})

    running.disturb("upload-files", count)
    big = bytes(64 * 1024 * 1024)
    await running.outer.manager.upload_files(running.sid, [("big", big)])
    assert len(big) < sizes[0] < len(big) + 1000


# --- F5


@pytest.mark.parametrize("kind", KINDS)
async def test_f5_every_call_has_the_key(running: Running, kind: str) -> None:
    await running.ask(kind)
    calls = running.nested.called("POST" if kind == "upload-files" else "GET", kind)
    assert [call.key for call in calls] == [running.nested.key]
    assert len(running.nested.key) > 20


async def test_f5_a_wrong_key_is_401(running: Running) -> None:
    key, running.nested.key = running.nested.key, "another"
    try:
        for kind in ("list-files", "upload-files"):
            answer = await running.ask(kind)
            assert answer.status_code == 401
            assert answer.json() == {"error": "Runtime returned error: 401"}
        content, error = await running.outer.manager.select_file(running.sid, "f")
    finally:
        running.nested.key = key
    assert content is None
    assert error == "the runtime does not accept the session key"


@pytest.mark.parametrize("answer", [say(500, HTML), half_a_body, nothing, say(200, "<html>")])
async def test_f5_no_error_holds_the_key(running: Running, answer: Answer) -> None:
    running.disturb("list-files", answer)
    with pytest.raises(httpx.HTTPError) as caught:
        await running.outer.manager.list_files(running.sid)
    assert running.nested.key not in everything_in(caught.value)


def everything_in(error: BaseException | None) -> str:
    """What a logger or a debugger could show of an error and those that it came from."""
    if error is None:
        return ""
    request: Any = getattr(error, "_request", None)
    response: Any = getattr(error, "response", None)
    told = [repr(error), str(error), repr(error.__dict__)]
    told += [repr(one.headers.raw) for one in (request, response) if one is not None]
    if response is not None:
        told.append(repr(response.request.headers.raw))
    cause = everything_in(error.__cause__) + everything_in(error.__context__)
    return "".join(told) + cause


# --- F6


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_f6_odd_names_round_trip(running: Running, name: str) -> None:
    manager = running.outer.manager
    uploaded, _ = await manager.upload_files(running.sid, [(name, name.encode())])
    assert uploaded == [name]
    assert await manager.list_files(running.sid, name) == [name]
    assert await manager.select_file(running.sid, name) == (name, None)
    answer = await running.ask("select-file", file=name)
    assert answer.json() == {"code": name}


@pytest.mark.parametrize(
    "sid", ["../x", "a/b", "a\\b", "..", ".", "", "a\nb", "a\0b", "x" * 101, "\ud800"]
)
async def test_f6_hostile_sids_reach_no_pod(running: Running, sid: str) -> None:
    manager = running.outer.manager
    for call in (
        manager.list_files(sid),
        manager.select_file(sid, "f"),
        manager.upload_files(sid, [("f", b"")]),
    ):
        with pytest.raises(ValueError):
            await call
    assert [c for c in running.nested.calls if c.path.endswith(KINDS)] == []


async def test_many_at_once_do_not_wait_for_each_other(running: Running) -> None:
    running.disturb("list-files", say_after(0.5, say(200, ["a"])))
    manager = running.outer.manager
    async with asyncio.timeout(2):
        lists = await asyncio.gather(*(manager.list_files(running.sid) for _ in range(20)))
    assert lists == [["a"]] * 20
