"""
What an application does with the Python client, one step after the other.

`python walk.py [--namespace NAMESPACE] --access direct|port-forward` needs an operator that serves
the namespace.  It is one file, because the demo's Job gets it in a ConfigMap.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from conversations.client import ConversationNotReady, Conversations

SESSION = "Demo: why is the build slow?"
USER = "ada@example.com"
MEGABYTES = 16


class Steps:
    """Prints a line for each step with its seconds; a step that raises says so first."""

    def __init__(self, write: Callable[[str], object] = print) -> None:
        self._write = write

    @contextmanager
    def __call__(self, text: str) -> Iterator[Callable[[str], None]]:
        notes: list[str] = []
        began = time.monotonic()
        try:
            yield notes.append
        except BaseException:
            self._write(f"  {text:<52} FAILED after {time.monotonic() - began:.1f} s")
            raise
        self._write(f"  {text:<52} {time.monotonic() - began:6.1f} s")
        for note in notes:
            self._write(f"      {note}")


class Walk:
    """A conversation's life; every step checks what it shows, with AssertionError if it is not so."""

    def __init__(self, conversations: Conversations, step: Steps, *, direct: bool) -> None:
        self._conversations = conversations
        self._step = step
        self._direct = direct
        self._files = sample_files()

    async def run(self) -> None:
        await self.start()
        await self.find()
        if self._direct:
            await self.knock_without_key()
        await self.upload()
        await self.list_files()
        await self.read_back("read them back")
        await self.pause()
        await self.resume()
        await self.read_back("read them again: pause and resume kept them")
        await self.close()

    async def start(self) -> None:
        if await self._conversations.get(SESSION) is not None:
            with self._step("close what an earlier run left"):
                await self._conversations.close(SESSION)
        with self._step(f"start {SESSION!r}") as note:
            started = await self._conversations.start(SESSION, user=USER)
            note(f"Conversation {started.metadata.name}")
        with self._step("its runtime is Ready") as note:
            ready = await self._conversations.wait_ready(SESSION)
            note(f"pod {ready.status.pod_name}, {ready.status.startup_milliseconds} ms to Ready")

    async def find(self) -> None:
        with self._step("find it, and list those of its user") as note:
            found = await self._conversations.get(SESSION)
            mine = await self._conversations.list(user=USER)
            everybody = await self._conversations.list()
            check(found is not None and found.session_id == SESSION, "it is not found")
            check([c.session_id for c in mine] == [SESSION], "the list of its user is wrong")
            check(await self._conversations.is_running(SESSION), "it is not running")
            note(f"{len(mine)} of {USER}, {len(everybody)} in all; no request was needed")

    async def knock_without_key(self) -> None:
        with self._step("ask the pod's URL without the session key") as note:
            conversation = await self._conversations.wait_ready(SESSION)
            async with httpx.AsyncClient(base_url=conversation.status.url or "") as http:
                about = (await http.get("/server_info")).json()
                refused = await http.get("/api/file/home")
            check(refused.status_code == 401, f"it answered {refused.status_code}, not 401")
            note(f"{conversation.status.url} is {about['title']} {about['version']}")
            note("its files: 401 Unauthorized")

    async def upload(self) -> None:
        size = sum(map(len, self._files.values()))
        with self._step(f"upload {len(self._files)} files, {size / 1e6:.1f} MB"):
            await self._conversations.upload_files(SESSION, self._files)

    async def list_files(self) -> None:
        with self._step("list them") as note:
            listed = await self._conversations.list_files(SESSION, recursive=True)
            sizes = {entry.path: entry.size for entry in listed if entry.kind == "file"}
            expected = {path: len(content) for path, content in self._files.items()}
            check(expected.items() <= sizes.items(), f"the listing lacks files: {sizes}")
            for path, length in expected.items():
                note(f"{length:>10} {path!r}")

    async def read_back(self, text: str) -> None:
        with self._step(text) as note:
            for path, content in self._files.items():
                read = await self._conversations.read_file(SESSION, path)
                check(read == content, f"{path!r} came back different")
            note("the same, byte for byte")

    async def pause(self) -> None:
        with self._step("pause it: the pod goes") as note:
            await self._conversations.pause(SESSION)
            check(not await self._conversations.is_running(SESSION), "it still runs")
            try:
                await self._conversations.list_files(SESSION)
            except ConversationNotReady as error:
                note(f"asking it for files says: {error}")
            else:
                raise AssertionError("a paused conversation listed files")

    async def resume(self) -> None:
        with self._step("resume it: Ready again, on the same key") as note:
            paused = await self._conversations.resume(SESSION)
            ready = await self._conversations.wait_ready(SESSION)
            same = ready.status.session_key_hash == paused.status.session_key_hash
            check(same, "the key changed")
            note(f"{ready.status.startup_milliseconds} ms to Ready")

    async def close(self) -> None:
        with self._step("close it"):
            await self._conversations.close(SESSION)
            check(await self._conversations.get(SESSION) is None, "it is still there")
            check(not await self._conversations.is_running(SESSION), "it still runs")


def sample_files() -> dict[str, bytes]:
    """Text, names that scripts stumble over, an empty file, and bytes that are no text."""
    return {
        "walk.py": Path(__file__).read_bytes(),
        'notes/it\'s "here" & now,\nwith a newline – ünïcode.txt': "Grüße\n".encode(),
        "-rf": b"a name that is not an option\n",
        "empty": b"",
        "random.bin": os.urandom(MEGABYTES * 1024 * 1024),
    }


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", help="where the operator works; the kubeconfig's otherwise")
    parser.add_argument("--access", choices=("direct", "port-forward"), required=True)
    options = parser.parse_args()
    step = Steps(lambda line: print(line, flush=True))
    began = time.monotonic()
    async with Conversations(options.namespace, access=options.access) as conversations:
        await Walk(conversations, step, direct=options.access == "direct").run()
    print(f"  the client's part took {time.monotonic() - began:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
