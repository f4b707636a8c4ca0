"""The client's whole life of a conversation: real operator, real pod, real volume, byte for byte."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import pytest_asyncio

from conversations.client import (
    AccessMode,
    Conversation,
    ConversationFailed,
    ConversationNotReady,
    Conversations,
    FileError,
    FileMissing,
    InvalidRequest,
    NotAFile,
    RuntimeUnavailable,
    SessionConflict,
)
from conversations.cluster.permissions import CLIENT_RULES, PORT_FORWARD_RULES
from tests.rig.access import create_identity, write_kubeconfig
from tests.rig.api import Api
from tests.rig.cluster import Cluster
from tests.rig.kubectl import Kubectl, find_binary
from tests.rig.manifests import EMPTY_DIR, a_template
from tests.rig.namespaces import RESTRICTED, fresh_namespace
from tests.rig.operator import Operator
from tests.rig.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(420)]

SESSION = "Why is it slow? – ünïcode/☕"
MIB = 1 << 20
BYTES = os.urandom(MIB) + bytes(range(256))
READY_SECONDS = 240
FILES = {
    "plain.txt": b"plain\n",
    "dir/two words": BYTES,
    "-rf": b"",
    "new\nline": b"1",
    'it\'s "quoted" $(id) `id` ;&|': b"2",
    "größe-日本語": "größe".encode(),
    os.fsdecode(b"not-utf8-\xff"): b"3",
}


@dataclass
class Rig:
    """One namespace with an operator, and the kubeconfig of a client's Role."""

    kubectl: Kubectl
    namespace: str
    kubeconfig: Path

    @asynccontextmanager
    async def client(self, access: AccessMode = "direct") -> AsyncIterator[Conversations]:
        async with Conversations(
            kubeconfig=self.kubeconfig, access=access, kubectl=find_binary("kubectl")
        ) as client:
            yield client

    async def in_pod(self, pod: str | None, *command: str) -> str:
        assert pod is not None
        arguments = ("exec", "-n", self.namespace, pod, "-c", "runtime", "--", *command)
        return (await asyncio.to_thread(self.kubectl, *arguments)).stdout


@pytest.fixture(scope="module")
def restricted(kubectl: Kubectl, crds: None) -> Iterator[str]:
    yield from fresh_namespace(kubectl, RESTRICTED)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(
    cluster: Cluster,
    kubectl: Kubectl,
    real: Path,
    restricted: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("client")
    for template in (
        a_template("default", {"persistentVolumeClaim": {"size": "4Gi"}}),
        a_template("ephemeral", {**EMPTY_DIR, "lossOnPause": "Refuse"}),
    ):
        kubectl("create", "-n", restricted, "-f", "-", input=json.dumps(template))
    async with Api(cluster, restricted) as api:
        token = await create_identity(api, CLIENT_RULES + PORT_FORWARD_RULES)
    kubeconfig = write_kubeconfig(folder / "kubeconfig", cluster.entry(), token, restricted)
    operator = Operator(real, restricted, folder)
    await operator.start()
    try:
        yield Rig(kubectl, restricted, kubeconfig)
    finally:
        await operator.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ready(rig: Rig) -> Conversation:
    """The conversation that most tests share: an agent-server takes a while to boot."""
    async with rig.client() as client:
        started = await client.start(SESSION, user="ada@example.org", env={"PLAIN": "$(HOME) $$"})
        assert (await client.start(SESSION, user="ada@example.org")).metadata == started.metadata
        with pytest.raises(SessionConflict):
            await client.start(SESSION, user="eve")
        with pytest.raises(ConversationNotReady):
            await client.list_files(SESSION)
        return await client.wait_ready(SESSION, timeout_seconds=READY_SECONDS)


@pytest.mark.parametrize("access", ["direct", "port-forward"])
async def test_files_byte_for_byte(rig: Rig, ready: Conversation, access: AccessMode) -> None:
    files = {f"{access}/{path}": content for path, content in FILES.items()}
    async with rig.client(access) as client:
        assert await client.is_running(SESSION)
        assert [c.metadata.uid for c in await client.list(user="ada@example.org")] == [
            ready.metadata.uid
        ]
        uploaded = await client.upload_files(SESSION, files)
        assert {file.path: file.size for file in uploaded} == {
            path: len(content) for path, content in files.items()
        }
        listing = await client.list_files(SESSION, access, recursive=True)
        assert {entry.path: entry.size for entry in listing if entry.kind == "file"} == {
            path: len(content) for path, content in files.items()
        }
        for path, content in files.items():
            assert await client.read_file(SESSION, path) == content
    printed = await rig.in_pod(
        ready.status.pod_name, "sha256sum", f"/workspace/project/{access}/dir/two words"
    )
    assert printed.split()[0] == sha256(BYTES).hexdigest()


async def test_bad_input_is_a_typed_error(rig: Rig, ready: Conversation) -> None:
    async with rig.client() as client:
        await client.upload_files(SESSION, {"bad/file": b""})
        for call, error in [
            (client.read_file(SESSION, "missing"), FileMissing),
            (client.read_file(SESSION, "bad"), NotAFile),
            (client.read_file(SESSION, "/etc/passwd"), FileError),
            (client.read_file(SESSION, "../.openhands"), FileError),
            (client.upload_files(SESSION, {}), InvalidRequest),
            (client.upload_files(SESSION, {"a/../../b": b""}), InvalidRequest),
        ]:
            with pytest.raises(error):
                await call


async def test_one_gibibyte_up_and_down_with_flat_memory(
    rig: Rig, ready: Conversation, tmp_path: Path
) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before, peak = resident(), 0
    sent, received = sha256(), sha256()

    async def blocks() -> AsyncIterator[bytes]:
        nonlocal peak
        for number in range(1024):
            block = number.to_bytes(8, "big") + BYTES[8:MIB]
            sent.update(block)
            peak = max(peak, resident())
            yield block

    async with rig.client() as client:
        began = time.monotonic()
        await client.upload_files(SESSION, {"big": blocks()})
        up = time.monotonic() - began
        async with client.open_file(SESSION, "big") as stream:
            assert stream.size == 1024 * MIB
            async for chunk in stream:
                received.update(chunk)
                peak = max(peak, resident())
        down = time.monotonic() - began - up
    await rig.in_pod(ready.status.pod_name, "rm", "/workspace/project/big")
    assert received.digest() == sent.digest()
    grown = (peak - before) / MIB
    assert grown < 48, f"up {up:.1f} s, down {down:.1f} s, grown by {grown:.0f} MiB"


async def test_pause_keeps_files_and_key(rig: Rig, ready: Conversation) -> None:
    async with rig.client() as client:
        await client.upload_files(SESSION, {"kept": BYTES})
        paused = await client.pause(SESSION)
        assert not await client.is_running(SESSION)
        with pytest.raises(ConversationNotReady, match="Paused"):
            await client.upload_files(SESSION, {"lost": b""})
        await client.resume(SESSION)
        again = await client.wait_ready(SESSION, timeout_seconds=READY_SECONDS)
        assert again.status.pod_uid != ready.status.pod_uid
        assert again.status.session_key_hash == paused.status.session_key_hash
        assert await client.read_file(SESSION, "kept") == BYTES


@pytest.mark.parametrize("access", ["direct", "port-forward"])
async def test_a_pod_that_dies_in_mid_transfer(
    rig: Rig, ready: Conversation, access: AccessMode
) -> None:
    async with rig.client(access) as client:
        current = await client.wait_ready(SESSION, timeout_seconds=READY_SECONDS)
        await client.upload_files(SESSION, {"old": b"old"})

        async def deadly() -> AsyncIterator[bytes]:
            yield BYTES
            await asyncio.to_thread(
                rig.kubectl,
                *("delete", "pod", "-n", rig.namespace, str(current.status.pod_name)),
                *("--grace-period=1", "--wait=true"),
            )
            for _ in range(64):
                yield BYTES

        began = time.monotonic()
        with pytest.raises(RuntimeUnavailable):
            await client.upload_files(SESSION, {"new": b"x", "old": deadly()}, timeout_seconds=120)
        assert time.monotonic() - began < 120
        await _replaced(client, current)
        listing = await client.list_files(SESSION)
        assert "new" not in [entry.path for entry in listing]
        assert await client.read_file(SESSION, "old") == b"old"


async def _replaced(client: Conversations, old: Conversation) -> None:
    async def is_replaced() -> bool:
        found = await client.get(SESSION)
        return (
            found is not None
            and await client.is_running(SESSION)
            and found.status.pod_uid != old.status.pod_uid
        )

    await eventually(is_replaced, READY_SECONDS)


async def test_a_pause_that_would_lose_files_is_refused(rig: Rig) -> None:
    async with rig.client() as client:
        await client.start("ephemeral", template="ephemeral")
        await client.wait_ready("ephemeral", timeout_seconds=READY_SECONDS)
        await client.upload_files("ephemeral", {"file": b"x"})
        with pytest.raises(ConversationFailed) as caught:
            await client.pause("ephemeral")
        assert caught.value.reason == "PauseRefused"
        assert await client.read_file("ephemeral", "file") == b"x"
        await client.close("ephemeral")


async def test_waiting_says_why_it_is_useless(rig: Rig) -> None:
    async with rig.client() as client:
        await client.start("lost", template="missing")
        with pytest.raises(ConversationFailed) as caught:
            await client.wait_ready("lost", timeout_seconds=30)
        assert caught.value.reason == "TemplateNotFound"
        await client.close("lost")


async def test_close_leaves_nothing(rig: Rig, ready: Conversation) -> None:
    async with rig.client() as client:
        await client.close(SESSION)
        assert await client.get(SESSION) is None

    def children() -> str:
        label = f"conversation-operator.io/conversation-uid={ready.metadata.uid}"
        kinds = "pods,secrets,persistentvolumeclaims"
        return rig.kubectl("get", kinds, "-n", rig.namespace, "-l", label, "-o", "name").stdout

    await eventually(lambda: not children(), 60)
