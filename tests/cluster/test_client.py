"""The client against a real API server, with the chart's client Role; the test acts as the operator."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conversations.client import (
    ApiRejected,
    ConversationFailed,
    ConversationNotFound,
    ConversationNotReady,
    Conversations,
    DeadlineExceeded,
    InvalidRequest,
    SessionConflict,
)
from conversations.cluster.permissions import CLIENT_RULES
from conversations.core.names import object_name
from tests.cluster.acting import condition, report, report_ready
from tests.rig.access import create_identity, write_kubeconfig
from tests.rig.api import Api
from tests.rig.faults import Effect, Moment, WriteFault, answer, hang, lose_reply
from tests.rig.manifests import a_conversation
from tests.rig.proxy import Proxy, open_proxy
from tests.rig.waiting import eventually


@dataclass
class Rig:
    """One client, and the proxy that it talks through."""

    client: Conversations
    proxy: Proxy
    kubeconfig: Path

    def verbs(self) -> list[str]:
        return [entry.call.verb for entry in self.proxy.record.entries]


@pytest.fixture
async def rig(api: Api, tmp_path: Path) -> AsyncIterator[Rig]:
    token = await create_identity(api, CLIENT_RULES)
    async with open_proxy(api.cluster, writer="client") as proxy:
        kubeconfig = write_kubeconfig(
            tmp_path / "kubeconfig", {"server": proxy.url}, token, api.namespace
        )
        async with Conversations(kubeconfig=kubeconfig, access="direct") as client:
            yield Rig(client, proxy, kubeconfig)


async def test_start_is_seen_at_once_and_close_too(rig: Rig) -> None:
    rig.proxy.freeze_watches("conversations")
    client = rig.client
    started = await client.start("Ünicode/session 1", user="ada@example.org", env={"A": "$B"})
    assert started.session_id == "Ünicode/session 1"
    assert started.metadata.name == object_name("Ünicode/session 1")
    assert [(v.name, v.value) for v in started.spec.env] == [("A", "$B")]
    assert await client.get("Ünicode/session 1") == started
    assert await client.list(user="ada@example.org") == [started]
    assert not await client.is_running("Ünicode/session 1")

    await client.close("Ünicode/session 1")
    assert await client.get("Ünicode/session 1") is None
    assert await client.list() == []
    await client.close("Ünicode/session 1")
    await client.close("never existed")
    rig.proxy.thaw_watches()


async def test_what_was_closed_does_not_come_back_with_late_events(rig: Rig, api: Api) -> None:
    client = rig.client
    started = await client.start("one")
    rig.proxy.freeze_watches("conversations")
    await report_ready(api, started)
    await client.close("one")
    seen = []
    watch = asyncio.create_task(_collect(client, seen))
    rig.proxy.thaw_watches()
    other = await client.start("other")
    await report_ready(api, other)
    await eventually(lambda: client.is_running("other"), 10)
    watch.cancel()
    assert seen and not any(seen)


async def _collect(client: Conversations, seen: list[bool]) -> None:
    while True:
        seen.append(await client.get("one") is not None)
        await asyncio.sleep(0)


async def test_many_callers_start_one_conversation(rig: Rig) -> None:
    async with Conversations(kubeconfig=rig.kubeconfig, access="direct") as other:
        clients = [rig.client, other] * 10
        started = await asyncio.gather(*(c.start("busy", user="ada") for c in clients))
    assert len({conversation.metadata.uid for conversation in started}) == 1
    assert rig.verbs().count("create") <= 20


async def test_many_processes_start_one_conversation(rig: Rig, repository: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from conversations.client import Conversations\n"
        "async def main():\n"
        "    async with Conversations(kubeconfig=sys.argv[1], access='direct') as c:\n"
        "        print((await c.start('busy', user='ada')).metadata.uid)\n"
        "asyncio.run(main())\n"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, str(rig.kubeconfig)),
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(repository / "operator")},
        )
        for _ in range(4)
    ]
    uids = {(await process.communicate())[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(uids) == 1


async def test_somebody_elses_session_is_a_conflict(rig: Rig, api: Api) -> None:
    await rig.client.start("mine", user="ada")
    for other in ({"user": "eve"}, {}, {"user": "ada", "template": "other"}):
        with pytest.raises(SessionConflict, match="another"):
            await rig.client.start("mine", **other)
    await api.create("conversations", a_conversation("taken", sessionID="something else"))
    with pytest.raises(SessionConflict, match="session id"):
        await rig.client.start("taken")


async def test_a_conversation_that_kubectl_made_is_found_by_its_session_id(
    rig: Rig, api: Api
) -> None:
    await api.create("conversations", a_conversation("by-hand", sessionID="s-1", user="ada"))
    await api.create("conversations", a_conversation("plain"))
    await eventually(lambda: rig.client.get("s-1"), 10)
    assert (await rig.client.start("s-1", user="ada")).metadata.name == "by-hand"
    await eventually(lambda: rig.client.get("plain"), 10)
    assert await rig.client.get("by-hand") is None


async def test_the_api_server_explains_what_it_refuses(rig: Rig) -> None:
    for arguments, field in [
        ({"session_id": ""}, "sessionID"),
        ({"session_id": "x" * 101}, "sessionID"),
        ({"session_id": "s", "user": "u" * 257}, "user"),
        ({"session_id": "s", "env": {"OH_SECRET": "1"}}, "env"),
        ({"session_id": "s", "env": {"A": "x" * 5000}}, "env"),
        ({"session_id": "s", "template": "Not A Label"}, "template"),
        ({"session_id": "\ud800"}, "Unicode"),
    ]:
        with pytest.raises(InvalidRequest, match=field):
            await rig.client.start(**arguments)
    assert await rig.client.list() == []


async def test_start_waits_for_its_predecessor_to_be_gone(rig: Rig, api: Api) -> None:
    manifest = a_conversation("again", sessionID="again")
    manifest["metadata"]["finalizers"] = ["example.org/hold"]
    old = await api.create("conversations", manifest)
    await eventually(lambda: rig.client.get("again"), 10)
    await api.delete("conversations", "again")
    with pytest.raises(DeadlineExceeded, match="still being deleted"):
        await rig.client.start("again", timeout_seconds=0.5)
    assert await rig.client.get("again") is None
    starting = asyncio.create_task(rig.client.start("again", timeout_seconds=20))
    await asyncio.sleep(0)
    await api.patch("conversations", "again", {"metadata": {"finalizers": None}})
    assert (await starting).metadata.uid != old["metadata"]["uid"]


async def test_find_and_list(rig: Rig, api: Api) -> None:
    for session, user in [("a", "ada"), ("b", "ada"), ("c", "bob"), ("d", None)]:
        await rig.client.start(session, user=user)

    async def names(**query: object) -> list[str]:
        return [found.session_id for found in await rig.client.list(**query)]  # type: ignore[arg-type]

    rig.proxy.record.entries.clear()
    assert await names() == ["a", "b", "c", "d"]
    assert await names(user="ada") == ["a", "b"]
    assert await names(user="nobody") == []
    assert await names(session_ids=["b", "d", "missing", "b"]) == ["b", "d"]
    assert await names(session_ids=["a", "c"], user="bob") == ["c"]
    assert await names(session_ids=set()) == []
    assert rig.verbs() == []


async def test_the_watch_survives_410_and_disconnection(rig: Rig, api: Api) -> None:
    client = rig.client
    await client.start("kept")
    await client.start("deleted")
    rig.proxy.freeze_watches("conversations")
    await api.delete("conversations", "deleted")
    await api.create("conversations", a_conversation("made"))
    rig.proxy.expire_watches()
    rig.proxy.thaw_watches()
    await eventually(lambda: client.get("made"), 10)
    assert [found.session_id for found in await client.list()] == ["kept", "made"]
    rig.proxy.cut_watches()
    await api.create("conversations", a_conversation("later"))
    await eventually(lambda: client.get("later"), 10)


@pytest.mark.parametrize(
    "effect", [lose_reply, answer(429, "TooManyRequests", Retry_After="1"), answer(500, "Internal")]
)
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_an_api_server_in_trouble_is_asked_again(
    rig: Rig, effect: Effect, moment: Moment
) -> None:
    rig.proxy.arm(WriteFault(1, moment, effect))
    started = await rig.client.start("s", timeout_seconds=20)
    assert [found.metadata.uid for found in await rig.client.list()] == [started.metadata.uid]
    rig.proxy.arm(WriteFault(1, moment, effect))
    assert (await rig.client.pause("s", wait=False)).spec.mode == "Paused"
    rig.proxy.arm(WriteFault(1, moment, effect))
    await rig.client.close("s")
    assert await rig.client.list() == []


async def test_a_hanging_api_server_meets_the_deadline(rig: Rig) -> None:
    rig.proxy.arm(WriteFault(1, "before", hang))
    with pytest.raises(DeadlineExceeded):
        await rig.client.start("s", timeout_seconds=0.3)
    assert (await rig.client.start("s")).session_id == "s"


async def test_wait_ready(rig: Rig, api: Api) -> None:
    client = rig.client
    started = await client.start("s")
    with pytest.raises(DeadlineExceeded, match="has not looked at it"):
        await client.wait_ready("s", timeout_seconds=0.2)
    await report(api, started, condition("Ready", "False", "Booting", "pulling"))
    await eventually(lambda: _reason(client, "s", "Booting"), 10)
    with pytest.raises(DeadlineExceeded, match="Booting: pulling"):
        await client.wait_ready("s", timeout_seconds=0.2)
    waiting = asyncio.create_task(client.wait_ready("s", timeout_seconds=20))
    await asyncio.sleep(0)
    sent = time.monotonic()
    await report_ready(api, started)
    assert (await waiting).metadata.uid == started.metadata.uid
    assert time.monotonic() - sent < 2
    assert await client.is_running("s")


async def test_wait_ready_says_why_it_never_will(rig: Rig, api: Api) -> None:
    client = rig.client
    with pytest.raises(ConversationNotFound):
        await client.wait_ready("missing", timeout_seconds=10)
    started = await client.start("s")
    await report(api, started, condition("Ready", "False", "ImageNotAllowed", "ask the admin"))
    with pytest.raises(ConversationFailed, match="ask the admin") as caught:
        await client.wait_ready("s", timeout_seconds=10)
    assert caught.value.reason == "ImageNotAllowed"
    waiting = asyncio.create_task(client.wait_ready("t", timeout_seconds=10))
    other = await client.start("t")
    await asyncio.sleep(0)
    await api.delete("conversations", other.metadata.name)
    with pytest.raises(ConversationNotFound):
        await waiting


async def test_a_condition_of_an_older_generation_does_not_count(rig: Rig, api: Api) -> None:
    client = rig.client
    started = await client.start("s")
    await report_ready(api, started)
    await client.wait_ready("s", timeout_seconds=10)
    await client.pause("s", wait=False)
    resumed = await client.resume("s")
    assert resumed.metadata.generation == 3
    with pytest.raises(DeadlineExceeded, match="has not looked at it"):
        await client.wait_ready("s", timeout_seconds=0.2)
    await report_ready(api, resumed)
    await client.wait_ready("s", timeout_seconds=10)


async def test_pause_and_resume(rig: Rig, api: Api) -> None:
    client = rig.client
    await client.start("s")
    pausing = asyncio.create_task(client.pause("s", timeout_seconds=20))
    paused = await eventually(lambda: _with_mode(client, "s", "Paused"), 10)
    pods_gone = [
        condition("Ready", "False", "Paused", generation=2),
        condition("Paused", "True", "Paused", generation=2),
    ]
    await report(api, paused, *pods_gone)
    assert (await pausing).spec.mode == "Paused"
    assert not await client.is_running("s")
    with pytest.raises(ConversationNotReady, match="Paused"):
        await client.wait_ready("s", timeout_seconds=10)
    with pytest.raises(ConversationNotReady, match="Paused"):
        await client.upload_files("s", {"a": b""})
    assert (await client.resume("s")).spec.mode == "Running"
    assert (await client.start("s")).spec.mode == "Running"
    with pytest.raises(ConversationNotFound):
        await client.pause("missing")


async def test_a_refused_pause_is_an_error_and_is_withdrawn(rig: Rig, api: Api) -> None:
    client = rig.client
    await client.start("s")
    pausing = asyncio.create_task(client.pause("s", timeout_seconds=20))
    wished = await eventually(lambda: _with_mode(client, "s", "Paused"), 10)
    refused = condition("Paused", "False", "PauseRefused", "files would be lost", generation=2)
    await report(api, wished, condition("Ready", "True", "RuntimeReady", generation=2), refused)
    with pytest.raises(ConversationFailed, match="files would be lost") as caught:
        await pausing
    assert caught.value.reason == "PauseRefused"
    current = await client.get("s")
    assert current is not None and current.spec.mode == "Running"


@pytest.mark.parametrize("verb", ["pause", "close"])
async def test_what_is_changed_is_the_conversation_that_was_seen(
    rig: Rig, api: Api, verb: str
) -> None:
    client = rig.client
    await client.start("s")
    rig.proxy.freeze_watches("conversations")
    await api.delete("conversations", "s")
    successor = await api.create("conversations", a_conversation("s"))
    if verb == "pause":
        with pytest.raises(ConversationNotFound):
            await client.pause("s")
    else:
        await client.close("s")
    left = await api.get("conversations", "s")
    assert left is not None and left["metadata"]["uid"] == successor["metadata"]["uid"]
    assert left["spec"].get("mode", "Running") == "Running"
    rig.proxy.thaw_watches()
    await eventually(lambda: client.get("s"), 10)


async def test_without_the_role_the_error_says_so(api: Api, tmp_path: Path) -> None:
    token = await create_identity(api, ())
    kubeconfig = write_kubeconfig(
        tmp_path / "kubeconfig", api.cluster.entry(), token, api.namespace
    )
    with pytest.raises(ApiRejected, match="cannot list resource"):
        async with Conversations(kubeconfig=kubeconfig):
            pass


async def _reason(client: Conversations, session_id: str, reason: str) -> bool:
    found = await client.get(session_id)
    return found is not None and [c.reason for c in found.status.conditions] == [reason]


async def _with_mode(client: Conversations, session_id: str, mode: str) -> object:
    found = await client.get(session_id)
    return found if found is not None and found.spec.mode == mode else None
