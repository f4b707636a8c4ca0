"""Inputs against a real API server: Secrets first, the first writer wins, nobody waits for nothing."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from conversations.api.labels import DRAINED_POD
from conversations.client import (
    Conversation,
    Conversations,
    Inputs,
    InvalidRequest,
    SessionConflict,
)
from conversations.client.calls import Secret
from conversations.cluster.permissions import CLIENT_RULES
from conversations.core.inputs import (
    InputKind,
    build_input,
    document_data,
    input_hash,
    input_name,
    read_document,
)
from conversations.openhands.v0.config import ManagerSettings
from conversations.openhands.v0.installation import Installation
from tests.cluster.acting import condition, owner_reference, report
from tests.rig.access import create_identity, write_kubeconfig
from tests.rig.api import Api, Manifest
from tests.rig.faults import WriteFault, lose_reply
from tests.rig.manifests import a_conversation
from tests.rig.proxy import Proxy, open_proxy

FIRST = {"initial_user_msg": "hello"}
OLD = {"settings": {"llm_api_key": "old-llm-key"}}
NEW = {"settings": {"llm_api_key": "new-llm-key"}}


class Rig:
    def __init__(self, client: Conversations, proxy: Proxy, kubeconfig: Path) -> None:
        self.client = client
        self.proxy = proxy
        self.kubeconfig = kubeconfig

    def take_calls(self) -> list[str]:
        """`verb resource` of what the client has asked since the last time, watches apart."""
        entries = self.proxy.record.entries
        calls = [f"{e.call.verb} {e.call.resource}" for e in entries if e.call.verb != "watch"]
        entries.clear()
        return calls


@pytest.fixture
async def rig(api: Api, tmp_path: Path) -> AsyncIterator[Rig]:
    token = await create_identity(api, CLIENT_RULES)
    async with open_proxy(api.cluster, writer="client") as proxy:
        server = {"server": proxy.url}
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", server, token, api.namespace)
        async with Conversations(kubeconfig=kubeconfig, access="direct") as client:
            rig = Rig(client, proxy, kubeconfig)
            rig.take_calls()
            yield rig


async def read(api: Api, name: str, kind: InputKind) -> dict[str, Any]:
    secret = await api.get("secrets", input_name(name, kind))
    assert secret is not None
    return read_document(secret["data"])


async def assert_they_agree(api: Api, name: str) -> None:
    """What the Conversation names is what is in the Secrets."""
    conversation = await api.get("conversations", name)
    assert conversation is not None
    for kind, wanted in conversation["spec"]["inputs"].items():
        secret = await api.get("secrets", f"{name}.{kind}")
        assert secret is not None
        assert input_hash(secret["data"]) == wanted


async def test_secrets_come_first_and_nothing_is_written_twice(rig: Rig, api: Api) -> None:
    inputs = Inputs(first=FIRST, settings=OLD, env={"TOKEN": "t"})
    started = await rig.client.start("s", inputs=inputs, labels={"team": "blue"})
    assert rig.take_calls() == ["create secrets"] * 3 + ["create conversations"]
    assert started.metadata.labels == {"team": "blue"}
    await assert_they_agree(api, "s")
    assert await read(api, "s", InputKind.FIRST) == FIRST
    secret = await api.get("secrets", "s.first")
    assert secret is not None
    assert (secret["immutable"], secret["type"]) == (True, "conversation-operator.io/first")
    env = await api.get("secrets", "s.env")
    assert env is not None
    assert b64decode(env["data"]["TOKEN"]) == b"t"

    assert await rig.client.start("s", inputs=inputs) == started
    assert rig.take_calls() == ["get conversations"]


async def test_a_resume_brings_new_settings_in_one_step(rig: Rig, api: Api) -> None:
    await rig.client.start("s", inputs=Inputs(first=FIRST, settings=OLD, env={"A": "1", "B": "2"}))
    await rig.client.pause("s", wait=False)
    rig.take_calls()
    resumed = await rig.client.resume("s", inputs=Inputs(settings=NEW, env={"B": "3"}))
    assert rig.take_calls().count("patch conversations") == 1
    assert resumed.spec.mode == "Running"
    await assert_they_agree(api, "s")
    assert await read(api, "s", InputKind.SETTINGS) == NEW
    env = await api.get("secrets", "s.env")
    assert env is not None
    assert env["data"].keys() == {"B"}
    await rig.client.resume("s", inputs=Inputs(settings=NEW))
    assert rig.take_calls() == []
    taken = await rig.client.resume("s", inputs=Inputs(env={}))
    assert taken.spec.inputs.env is None


async def test_first_is_decided_once(rig: Rig, api: Api) -> None:
    started = await rig.client.start("s", inputs=Inputs(first=FIRST))
    again = await rig.client.start("s", inputs=Inputs(first={"initial_user_msg": "other"}))
    assert again == started
    assert await read(api, "s", InputKind.FIRST) == FIRST


async def test_what_a_crashed_caller_left_is_taken_up(rig: Rig, api: Api) -> None:
    for kind, document in ((InputKind.FIRST, FIRST), (InputKind.SETTINGS, OLD)):
        await api.create("secrets", build_input("s", kind, document_data(document)))
    inputs = Inputs(first={"initial_user_msg": None}, settings=NEW)
    await rig.client.start("s", inputs=inputs)
    await assert_they_agree(api, "s")
    assert await read(api, "s", InputKind.FIRST) == FIRST
    assert await read(api, "s", InputKind.SETTINGS) == NEW


async def test_what_a_predecessor_left_is_not(rig: Rig, api: Api) -> None:
    # An owner that lives: the garbage collector would be faster than the client.
    owner = await api.create("conversations", a_conversation("owner", mode="Paused"))
    for kind, document in ((InputKind.FIRST, FIRST), (InputKind.SETTINGS, OLD)):
        left = build_input("s", kind, document_data(document))
        left["metadata"]["ownerReferences"] = [owner_reference(owner)]
        await api.create("secrets", left)
    mine = {"initial_user_msg": "mine"}
    await rig.client.start("s", inputs=Inputs(first=mine, settings=NEW))
    await assert_they_agree(api, "s")
    assert await read(api, "s", InputKind.FIRST) == mine


async def test_nobody_replaces_what_somebody_else_is_told(rig: Rig, api: Api) -> None:
    await rig.client.start("s", user="ada", inputs=Inputs(settings=OLD))
    async with Conversations(kubeconfig=rig.kubeconfig, access="direct") as eve:
        rig.proxy.freeze_watches("conversations")
        with pytest.raises(SessionConflict):
            await eve.start("s", user="eve", inputs=Inputs(settings=NEW))
        rig.proxy.thaw_watches()
    assert await read(api, "s", InputKind.SETTINGS) == OLD


async def test_another_secret_of_that_name_is_left_alone(rig: Rig, api: Api) -> None:
    await api.create("secrets", {"metadata": {"name": "s.settings"}, "stringData": {"a": "b"}})
    with pytest.raises(InvalidRequest, match="in the way"):
        await rig.client.start("s", inputs=Inputs(settings=NEW))
    secret = await api.get("secrets", "s.settings")
    assert secret is not None
    assert secret["data"] == {"a": "Yg=="}


async def test_callers_with_different_settings_end_in_agreement(rig: Rig, api: Api) -> None:
    async with Conversations(kubeconfig=rig.kubeconfig, access="direct") as other:
        clients = [rig.client, other] * 6
        started: list[Conversation] = await asyncio.gather(
            *(
                client.start("s", inputs=Inputs(first={"n": n}, settings={"n": n}))
                for n, client in enumerate(clients)
            )
        )
    assert len({conversation.metadata.uid for conversation in started}) == 1
    await assert_they_agree(api, "s")


async def test_inputs_survive_a_lost_reply(rig: Rig, api: Api) -> None:
    for nth in (1, 2, 3):
        session = f"s-{nth}"
        rig.proxy.arm(WriteFault(nth, "after", lose_reply))
        await rig.client.start(session, inputs=Inputs(first=FIRST, settings=OLD))
        await assert_they_agree(api, session)
        assert await read(api, session, InputKind.FIRST) == FIRST


async def test_an_input_that_was_lost_is_written_again(rig: Rig, api: Api) -> None:
    inputs = Inputs(first=FIRST, settings=OLD)
    started = await rig.client.start("s", inputs=inputs)
    for kind in (InputKind.FIRST, InputKind.SETTINGS):
        await api.delete("secrets", input_name("s", kind))
    await report(api, started, condition("Ready", "False", "WaitingForSecret"))
    await rig.client.start("s", inputs=inputs)
    await assert_they_agree(api, "s")


async def test_inputs_that_nobody_has_adopted_go_with_a_close(rig: Rig, api: Api) -> None:
    inputs = Inputs(first=FIRST, settings=OLD, env={"A": "1"})
    await rig.client.start("s", inputs=inputs)
    await rig.client.close("s")
    assert [s for s in await api.list("secrets") if s["metadata"]["name"].startswith("s.")] == []


@pytest.mark.parametrize(
    ("inputs", "word"),
    [
        (Inputs(first={"a": object()}), "JSON"),
        (Inputs(settings={"a": "\ud800"}), "Unicode"),
        (Inputs(env={"A": "\ud800 secret"}), "Unicode"),
        (Inputs(env={"A": "x" * 1024 * 1024}), "bytes"),
        (Inputs(env={"not a name": "secret"}), "env"),
    ],
)
async def test_what_no_secret_can_hold(rig: Rig, api: Api, inputs: Inputs, word: str) -> None:
    with pytest.raises(InvalidRequest, match=word) as caught:
        await rig.client.start("s", inputs=inputs)
    assert "secret" not in str(caught.value).replace("Secret", "")
    assert await rig.client.list() == []


async def test_a_large_replay(rig: Rig, api: Api) -> None:
    replay = {"replay_json": msgspec.json.encode([{"content": "word " * 20}] * 20_000).decode()}
    assert len(replay["replay_json"]) > 2 * 1024 * 1024
    await rig.client.start("s", inputs=Inputs(first=replay))
    assert await read(api, "s", InputKind.FIRST) == replay


def test_nothing_secret_is_shown() -> None:
    inputs = Inputs(first={"a": "hidden"}, settings={"a": "hidden"}, env={"A": "hidden"})
    assert "hidden" not in repr(inputs)
    secret: Manifest = build_input("s", InputKind.ENV, {"A": "aGlkZGVu"})
    assert "aGlkZGVu" not in repr(msgspec.convert(secret, Secret))


async def test_a_start_of_one_that_is_there_brings_image_and_pod_up_to_date(
    rig: Rig, api: Api
) -> None:
    """As OpenHands' manager starts what is there: paused or not."""
    settings = ManagerSettings(kubeconfig=str(rig.kubeconfig), access="direct")
    installation = await Installation.open(settings)
    try:
        spec = {"sessionID": "s", "template": "default"}
        await installation.start("s", spec | {"image": "forbidden"}, Inputs(settings=OLD))
        rig.take_calls()
        started = await installation.start("s", spec, Inputs(settings=OLD))
        assert rig.take_calls() == ["get conversations", "patch conversations"]
        assert "image" not in started.spec
        paused = await installation.pause(started)
        pod = {"podUID": "of-the-pod", "workspace": "conv-1"}
        await api.patch("conversations/status", "s", {"status": pod})
        rig.take_calls()
        resumed = await installation.start("s", spec, Inputs(settings=NEW))
        assert rig.take_calls().count("patch conversations") == 1
        assert paused.spec["mode"] == "Paused"
        assert resumed.spec["mode"] == "Running"
        # What runs there may have been stopped for the pause.
        assert resumed.metadata.annotations[DRAINED_POD] == "of-the-pod"
        await assert_they_agree(api, "s")
        rig.take_calls()
        await installation.start("s", spec, Inputs(settings=NEW))
        assert rig.take_calls() == ["get conversations"]
    finally:
        await installation.aclose()
