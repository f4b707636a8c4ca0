"""Listing, reading and uploading through a real agent-server, with every name that Linux allows."""

import os
from pathlib import Path

import pytest

from conversations.core.errors import FileError, FileMissing, InvalidRequest, NotAFile, Unauthorized
from conversations.runtime.agent_server import AgentServer
from conversations.runtime.files import FileEntry, FileKind
from tests.contract.agent_server import AgentServerProcess

NASTY_NAMES = [
    "plain.txt",
    "two words",
    " leading and trailing ",
    "new\nline",
    "ends with newline\n",
    "-rf",
    "--help",
    "'single' \"double\" `tick` $(id) $HOME ;&|<>*?[a]!#~",
    "back\\slash",
    "tab\tcarriage\rbell\x07",
    "ünï-çødé-日本語-😀",
    "e\u0301 not the same as \u00e9",
    "%2e%2e%2f percent +&=?#",
    "a" * 255,
    "...",
    "=",
    os.fsdecode(b"not-utf8-\xff\xfe"),
]
ALL_BYTES = bytes(range(256)) * 5


@pytest.mark.parametrize("name", NASTY_NAMES, ids=range(len(NASTY_NAMES)))
async def test_any_name_goes_up_shows_and_comes_back(
    runtime: AgentServer, workspace: Path, name: str
) -> None:
    content = ALL_BYTES + os.fsencode(name)
    uploaded = await runtime.upload_files({name: content, f"sub/{name}": b""})
    assert [(file.path, file.size) for file in uploaded] == [
        (name, len(content)),
        (f"sub/{name}", 0),
    ]
    assert (workspace / name).read_bytes() == content
    assert FileEntry(name, FileKind.FILE, len(content)) in await runtime.list_files()
    assert [entry.name for entry in await runtime.list_files("sub")] == [name]
    assert await runtime.read_file(name) == content
    assert await runtime.read_file(f"sub/{name}") == b""


async def test_a_directory_of_any_name_can_be_listed(runtime: AgentServer, workspace: Path) -> None:
    for number, name in enumerate(NASTY_NAMES):
        (workspace / name).mkdir()
        (workspace / name / f"file {number}").write_text(name, errors="surrogateescape")
    everything = await runtime.list_files(recursive=True)
    assert len(everything) == 2 * len(NASTY_NAMES) and not everything.truncated
    for number, name in enumerate(NASTY_NAMES):
        listing = await runtime.list_files(name)
        assert [entry.path for entry in listing] == [f"{name}/file {number}"]
        assert await runtime.read_file(listing[0].path) == os.fsencode(name)


async def test_listing_tells_kinds_and_sizes(runtime: AgentServer, workspace: Path) -> None:
    (workspace / "file").write_bytes(b"12345")
    (workspace / "directory").mkdir()
    (workspace / "directory" / "inner").write_bytes(b"1")
    (workspace / "link").symlink_to("file")
    (workspace / "dangling").symlink_to("nowhere")
    os.mkfifo(workspace / "pipe")
    listing = await runtime.list_files()
    assert {entry.path: entry.kind for entry in listing} == {
        "file": FileKind.FILE,
        "directory": FileKind.DIRECTORY,
        "link": FileKind.SYMLINK,
        "dangling": FileKind.SYMLINK,
        "pipe": FileKind.OTHER,
    }
    assert [entry.size for entry in listing if entry.path == "file"] == [5]
    assert [entry.path for entry in listing] == sorted(entry.path for entry in listing)
    recursive = await runtime.list_files(recursive=True)
    assert "directory/inner" in [entry.path for entry in recursive]


async def test_listing_of_a_workspace_that_is_not_there_yet_is_empty(runtime: AgentServer) -> None:
    assert list(await runtime.list_files()) == []


async def test_thousands_of_files(runtime: AgentServer, workspace: Path) -> None:
    # Random names do not compress: this one is too big for a command's output.
    names = {os.urandom(60).hex() for _ in range(9_000)}
    for name in names:
        (workspace / name).touch()
    listing = await runtime.list_files()
    assert {entry.path for entry in listing} == names
    assert not listing.truncated


async def test_a_listing_cut_short_says_so(runtime: AgentServer, workspace: Path) -> None:
    for number in range(11):
        (workspace / str(number)).touch()
    assert not (await runtime.list_files(limit=11)).truncated
    cut = await runtime.list_files(limit=10)
    assert (len(cut), cut.truncated) == (10, True)


async def test_reading_what_cannot_be_read(runtime: AgentServer, workspace: Path) -> None:
    (workspace / "directory").mkdir()
    (workspace / "loop").symlink_to("loop")
    os.mkfifo(workspace / "pipe")
    for path, error in [
        ("missing", FileMissing),
        ("missing/below", FileMissing),
        ("loop", FileMissing),
        ("directory", NotAFile),
        ("pipe", NotAFile),
        ("", NotAFile),
    ]:
        with pytest.raises(error):
            await runtime.read_file(path)


async def test_listing_what_is_no_directory(runtime: AgentServer, workspace: Path) -> None:
    (workspace / "file").touch()
    with pytest.raises(FileError, match="not a directory"):
        await runtime.list_files("file")
    with pytest.raises(FileMissing):
        await runtime.list_files("missing")


async def test_nothing_outside_the_workspace(
    runtime: AgentServer, workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (workspace / "escape").symlink_to(tmp_path)
    (workspace / "shadow").symlink_to(tmp_path / "secret")
    for path in ["../x", "/etc/passwd", "a/../../x", "escape/secret", "shadow", f"{workspace}x"]:
        with pytest.raises(FileError, match="outside"):
            await runtime.read_file(path)
    for path in ["..", "/", "escape"]:
        with pytest.raises(FileError, match="outside"):
            await runtime.list_files(path)
    with pytest.raises(FileError, match="outside"):
        await runtime.upload_files({"escape/new": b"x"})
    assert sorted(os.listdir(tmp_path)) == ["secret"]


async def test_links_within_the_workspace_are_followed(
    runtime: AgentServer, workspace: Path
) -> None:
    (workspace / "real").mkdir()
    (workspace / "real" / "file").write_bytes(b"here")
    (workspace / "link").symlink_to("real")
    assert await runtime.read_file("link/file") == b"here"
    assert [entry.path for entry in await runtime.list_files("link")] == ["link/file"]
    assert await runtime.read_file(str(workspace / "real" / ".." / "link" / "file")) == b"here"


async def test_bad_uploads_are_refused_and_change_nothing(
    runtime: AgentServer, workspace: Path
) -> None:
    (workspace / "file").write_bytes(b"old")
    (workspace / "directory").mkdir()
    for files, error in [
        ({}, InvalidRequest),
        ({"../x": b""}, InvalidRequest),
        ({"a/../b": b""}, InvalidRequest),
        ({"": b""}, InvalidRequest),
        ({"directory/": b""}, InvalidRequest),
        ({"nul\0": b""}, InvalidRequest),
        ({"same": b"", "./same": b""}, InvalidRequest),
        ({"/etc/x": b""}, FileError),
        ({"good": b"", "directory": b""}, NotAFile),
        ({"good": b"", "file/below": b""}, FileError),
        ({"good": b"", "a" * 256: b""}, InvalidRequest),
    ]:
        with pytest.raises(error):
            await runtime.upload_files(files)
    await runtime.aclose()
    assert sorted(os.listdir(workspace)) == ["directory", "file"]
    assert (workspace / "file").read_bytes() == b"old"


async def test_upload_replaces_a_file_and_keeps_its_mode(
    runtime: AgentServer, workspace: Path
) -> None:
    (workspace / "run.sh").write_bytes(b"old")
    (workspace / "run.sh").chmod(0o755)
    (workspace / "link").symlink_to("run.sh")
    await runtime.upload_files({"run.sh": b"new", "link": b"a file now"})
    assert (workspace / "run.sh").read_bytes() == b"new"
    assert (workspace / "run.sh").stat().st_mode & 0o777 == 0o755
    assert not (workspace / "link").is_symlink()


async def test_more_files_than_one_command_can_name(runtime: AgentServer, workspace: Path) -> None:
    directory = "d" * 200 + "/" + "e" * 200
    files = {f"{directory}/{number:03}-{'f' * 200}": str(number).encode() for number in range(200)}
    uploaded = await runtime.upload_files(files)
    assert [file.path for file in uploaded] == list(files)
    for path, content in files.items():
        assert (workspace / path).read_bytes() == content
    assert sorted(os.listdir(workspace)) == ["d" * 200]


async def test_every_kind_of_content(runtime: AgentServer, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(ALL_BYTES)

    async def chunks():  # type: ignore[no-untyped-def]
        for start in range(0, len(ALL_BYTES), 100):
            yield ALL_BYTES[start : start + 100]

    await runtime.upload_files(
        {
            "bytes": ALL_BYTES,
            "path": tmp_path / "local",
            "stream": chunks(),
            "view": memoryview(ALL_BYTES),
        }
    )
    for name in ["bytes", "path", "stream", "view"]:
        assert (workspace / name).read_bytes() == ALL_BYTES
    assert await runtime.download_file("path", tmp_path / "copy") == len(ALL_BYTES)
    assert (tmp_path / "copy").read_bytes() == ALL_BYTES


async def test_a_failing_source_is_the_callers_error(
    runtime: AgentServer, workspace: Path, tmp_path: Path
) -> None:
    async def broken():  # type: ignore[no-untyped-def]
        yield b"half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await runtime.upload_files({"a": b"whole", "b": broken()})
    with pytest.raises(FileNotFoundError):
        await runtime.upload_files({"a": tmp_path / "missing"})
    with pytest.raises(InvalidRequest):
        await runtime.upload_files({"a": tmp_path})
    await runtime.aclose()
    assert os.listdir(workspace) == []


async def test_wrong_key(server: AgentServerProcess, workspace: Path) -> None:
    (workspace / "file").touch()
    async with AgentServer("uid", server.url, "wrong", workspace=str(workspace)) as intruder:
        for call in (
            intruder.list_files(),
            intruder.read_file("file"),
            intruder.upload_files({"other": b"x"}),
        ):
            with pytest.raises(Unauthorized):
                await call
    assert os.listdir(workspace) == ["file"]


async def test_an_upload_under_way_is_not_listed(runtime: AgentServer, workspace: Path) -> None:
    seen: list[str] = []

    async def watched():  # type: ignore[no-untyped-def]
        seen.extend(entry.path for entry in await runtime.list_files(recursive=True))
        yield b"x"

    await runtime.upload_files({"first": b"1", "second": watched()})
    assert seen == []
    assert {entry.path for entry in await runtime.list_files()} == {"first", "second"}
