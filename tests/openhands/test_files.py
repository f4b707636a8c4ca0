"""F1 to F4: the file methods, through OpenHands' own routes, from the nested server's answers."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from conversations.openhands.v0 import files as files_module
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.misbehaviour import HTML, Answer, half_a_body, nothing, say, say_after
from tests.openhands.rig.outer import Outer
from tests.openhands.rig.running import FILE_ROUTES, Running, open_running


@pytest.fixture(scope="module")
async def shared(module_outer: Outer, kubelet: Kubelet) -> AsyncIterator[Running]:
    """One conversation for all of this file."""
    async with open_running(module_outer, kubelet, "files-of-one") as running:
        yield running


@pytest.fixture
def running(shared: Running) -> Running:
    shared.calm()
    return shared


# --- F1


@pytest.mark.parametrize("kind", FILE_ROUTES)
async def test_f1_what_does_not_run_is_404_with_the_reason(running: Running, kind: str) -> None:
    answer = await running.ask(kind, "nobody-of-that-id")
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
    running.answer("list-files", say(200, names))
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
        running.answer(kind, say(status, {"error": "words"}))
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
    running.answer(kind, answer)
    got = await running.ask(kind)
    assert (got.status_code, got.json()) == (502, {"error": "Runtime returned error: 502"})


@pytest.mark.parametrize("kind", FILE_ROUTES)
async def test_f2_f3_f4_too_slow_is_504(
    running: Running, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(files_module, "UPLOAD_SECONDS", 0.3)
    running.answer(kind, say_after(2, say(200, [])))
    answer = await running.ask(kind)
    assert (answer.status_code, answer.json()) == (504, {"error": "Request to runtime timed out"})


@pytest.mark.parametrize("kind", FILE_ROUTES)
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
    running.answer("select-file", say(500, {"error": "no such file"}))
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
    running.answer("select-file", answer)
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
    running.answer("upload-files", say(200, told))
    assert (await running.ask("upload-files")).json() == told


async def test_f4_an_upload_may_take_longer_than_5_seconds(running: Running) -> None:
    running.answer("upload-files", say_after(6, say(200, {"uploaded_files": ["/w/up.txt"]})))
    answer = await running.ask("upload-files")
    assert answer.json() == {"uploaded_files": ["/w/up.txt"], "skipped_files": []}


async def test_f4_a_large_upload_is_not_copied_as_a_whole(running: Running) -> None:
    sizes: list[int] = []

    async def count(request: web.Request) -> web.StreamResponse:
        sizes.append(len(await request.read()))
        return web.json_response({"uploaded_files": ["/w/big"], "skipped_files": []})

    running.answer("upload-files", count)
    big = bytes(64 * 1024 * 1024)
    await running.outer.manager.upload_files(running.sid, [("big", big)])
    assert len(big) < sizes[0] < len(big) + 1000
