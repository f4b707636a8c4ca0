"""
The client's file calls: conversations on a real API server, a real agent-server for their pod.

The test acts as the operator and says in the status that the agent-server on loopback is the pod.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from conversations.client import (
    Conversation,
    ConversationNotFound,
    ConversationNotReady,
    Conversations,
    DeadlineExceeded,
    FileError,
    FileMissing,
    InvalidRequest,
    NotAFile,
    RuntimeUnavailable,
    Unauthorized,
)
from conversations.client.runtimes import LOOK_SECONDS
from conversations.cluster.permissions import CLIENT_RULES
from conversations.core.names import children_name
from tests.cluster.acting import condition, give_key, give_pod, report, report_ready
from tests.contract.agent_server import AgentServerProcess
from tests.rig.access import create_identity, write_kubeconfig
from tests.rig.api import Api
from tests.rig.proxy import Proxy, open_proxy
from tests.rig.waiting import eventually

BYTES = bytes(range(256)) * 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentServerProcess]:
    with AgentServerProcess(tmp_path_factory.mktemp("runtime")).ready() as process:
        yield process


@pytest.fixture
async def proxy(api: Api) -> AsyncIterator[Proxy]:
    async with open_proxy(api.cluster, writer="client") as proxy:
        yield proxy


@pytest.fixture
async def client(
    api: Api, proxy: Proxy, server: AgentServerProcess, tmp_path: Path
) -> AsyncIterator[Conversations]:
    token = await create_identity(api, CLIENT_RULES)
    kubeconfig = write_kubeconfig(
        tmp_path / "kubeconfig", {"server": proxy.url}, token, api.namespace
    )
    workspace = str(server.workspace / api.namespace)
    async with Conversations(kubeconfig=kubeconfig, access="direct", workspace=workspace) as client:
        yield client


@pytest.fixture
async def ready(api: Api, client: Conversations, server: AgentServerProcess) -> Conversation:
    """A conversation whose pod is the agent-server."""
    started = await client.start("s", user="ada")
    key_hash = await give_key(api, started, server.key)
    pod = await give_pod(api, started, server.url)
    await report_ready(api, started, **pod, sessionKeyHash=key_hash)
    return await client.wait_ready("s", timeout_seconds=20)


async def test_everything_byte_for_byte(
    client: Conversations, ready: Conversation, tmp_path: Path
) -> None:
    (tmp_path / "local").write_bytes(BYTES)

    async def chunks() -> AsyncIterator[bytes]:
        yield BYTES
        yield "ünï".encode()

    uploaded = await client.upload_files(
        "s", {"a": BYTES, "dir/b\n": tmp_path / "local", "c": chunks(), "t": "größe".encode()}
    )
    assert [file.path for file in uploaded] == ["a", "dir/b\n", "c", "t"]
    listing = await client.list_files("s", recursive=True)
    assert [(entry.path, entry.kind) for entry in listing] == [
        ("a", "file"),
        ("c", "file"),
        ("dir", "directory"),
        ("dir/b\n", "file"),
        ("t", "file"),
    ]
    assert await client.read_file("s", "a") == BYTES
    assert await client.read_file("s", "dir/b\n") == BYTES
    assert await client.read_text("s", "t") == "größe"
    async with client.open_file("s", "c") as stream:
        assert stream.size == len(BYTES) + 5
        assert b"".join([chunk async for chunk in stream]) == BYTES + "ünï".encode()
    assert await client.download_file("s", "a", tmp_path / "copy") == len(BYTES)
    assert (tmp_path / "copy").read_bytes() == BYTES


async def test_bad_input_is_a_typed_error(client: Conversations, ready: Conversation) -> None:
    await client.upload_files("s", {"dir/file": b""})
    for call, error in [
        (client.read_file("s", "missing"), FileMissing),
        (client.read_file("s", "dir"), NotAFile),
        (client.read_file("s", "/etc/passwd"), FileError),
        (client.list_files("s", "../.."), FileError),
        (client.upload_files("s", {}), InvalidRequest),
        (client.upload_files("s", {"../x": b""}), InvalidRequest),
        (client.list_files("nobody"), ConversationNotFound),
    ]:
        with pytest.raises(error):
            await call


async def test_only_a_ready_conversation_has_files(client: Conversations, api: Api) -> None:
    started = await client.start("s")
    with pytest.raises(ConversationNotReady, match="has not looked"):
        await client.list_files("s")
    await report(api, started, condition("Ready", "False", "Unschedulable", "no node fits"))

    async def reason() -> str:
        with pytest.raises(ConversationNotReady) as caught:
            await client.upload_files("s", {"a": b""})
        return caught.value.reason

    async def is_unschedulable() -> bool:
        return await reason() == "Unschedulable"

    await eventually(is_unschedulable, 10)


async def test_the_secret_is_read_once(
    client: Conversations, ready: Conversation, proxy: Proxy
) -> None:
    proxy.record.entries.clear()
    await asyncio.gather(*(client.list_files("s") for _ in range(10)))
    verbs = [(entry.call.verb, entry.call.resource) for entry in proxy.record.entries]
    assert verbs == [("get", "conversations"), ("get", "secrets"), ("get", "pods")]


async def test_a_wrong_key_is_read_again_before_it_is_an_error(
    client: Conversations, api: Api, server: AgentServerProcess, proxy: Proxy
) -> None:
    started = await client.start("s")
    wrong = await give_key(api, started, "wrong")
    pod = await give_pod(api, started, server.url)
    await report_ready(api, started, **pod, sessionKeyHash=wrong)
    await client.wait_ready("s", timeout_seconds=20)
    proxy.record.entries.clear()
    with pytest.raises(Unauthorized):
        await client.list_files("s")
    assert [entry.call.resource for entry in proxy.record.entries].count("secrets") == 2

    proxy.freeze_watches("conversations")
    await api.delete("secrets", children_name(started.metadata.uid))
    with pytest.raises(ConversationNotReady, match="SessionKeyLost"):
        await client.list_files("s")
    right = await give_key(api, started, server.key)
    await report_ready(api, started, **pod, sessionKeyHash=right)
    await client.list_files("s")
    proxy.thaw_watches()


async def test_a_new_pod_is_a_new_connection(
    client: Conversations, ready: Conversation, api: Api, server: AgentServerProcess
) -> None:
    await client.list_files("s")
    await replace_pod(api, client, "http://127.0.0.1:9")
    with pytest.raises(RuntimeUnavailable, match="does not accept connections"):
        await client.list_files("s")
    await replace_pod(api, client, server.url)

    async def is_listed() -> bool:
        try:
            return len(await client.list_files("s")) == 0
        except RuntimeUnavailable:
            return False

    await eventually(is_listed, 10)


async def replace_pod(api: Api, client: Conversations, url: str) -> None:
    ready = await client.get("s")
    assert ready is not None
    await api.delete("pods", children_name(ready.metadata.uid), gracePeriodSeconds=0)
    pod = await give_pod(api, ready, url)
    await report_ready(api, ready, **pod)

    async def is_seen() -> bool:
        found = await client.get("s")
        return found is not None and found.status.pod_uid == pod["podUID"]

    await eventually(is_seen, 10)


async def test_a_key_goes_to_no_pod_but_its_own(
    client: Conversations, api: Api, server: AgentServerProcess
) -> None:
    started = await client.start("s")
    key_hash = await give_key(api, started, server.key)
    pod = await give_pod(api, started, "http://127.0.0.1:9")
    # Whatever the status says, the pod's own address counts.
    await report_ready(api, started, **{**pod, "url": server.url}, sessionKeyHash=key_hash)
    await client.wait_ready("s", timeout_seconds=20)
    with pytest.raises(RuntimeUnavailable, match="does not accept connections"):
        await client.list_files("s")
    name = pod["podName"]
    orphan = {"metadata": {"ownerReferences": None}}
    await api.patch("pods", name, orphan)
    with pytest.raises(RuntimeUnavailable, match="not ready"):
        await client.list_files("s")
    await api.delete("pods", name, gracePeriodSeconds=0)
    with pytest.raises(RuntimeUnavailable, match="is gone"):
        await client.list_files("s")


async def test_a_pod_that_went_unreported_is_noticed(
    client: Conversations, ready: Conversation, api: Api
) -> None:
    await client.list_files("s")
    await api.delete("pods", children_name(ready.metadata.uid), gracePeriodSeconds=0)

    async def is_noticed() -> bool:
        try:
            await client.list_files("s")
        except RuntimeUnavailable:
            return True
        return False

    await eventually(is_noticed, 3 * LOOK_SECONDS)


async def test_deadlines_cover_the_whole_call(
    client: Conversations, ready: Conversation, server: AgentServerProcess
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    with pytest.raises(DeadlineExceeded):
        await client.upload_files("s", {"a": endless()}, timeout_seconds=0.5)
    assert list(await client.list_files("s")) == []
    await client.upload_files("s", {"a": b"x"})
    assert os.listdir(server.workspace / ready.metadata.namespace) == ["a"]
