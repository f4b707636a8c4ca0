"""
Inputs lie in Secrets beside the Conversation: waited for, checked, adopted, swept.

And the pause of a conversation whose manager keeps its history.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from conversations.api.labels import DRAINED_POD, INPUT_HASH, INSTALLATION
from conversations.core.inputs import (
    InputKind,
    build_input,
    document_data,
    env_data,
    input_hash,
    input_name,
)
from tests.cluster.acting import owner_reference
from tests.rig.api import Api, ApiError, Manifest
from tests.rig.cluster import Cluster
from tests.rig.manifests import PERSISTENT, a_conversation, a_template
from tests.rig.observe import condition, wait_ready, wait_reason
from tests.rig.waiting import eventually
from tests.rig.world import namespace_world, run_operator, wait_accepted

pytestmark = pytest.mark.timeout(180)

SETTINGS = document_data({"settings": {"llm_model": "m"}})
OTHERS = document_data({"settings": {"llm_model": "n"}})
FIRST = document_data({"initial_user_msg": "hello"})
ONE_PASS_SECONDS = 2.0

Case = Callable[[Api, str], Awaitable[None]]


def inputs(**data: Manifest) -> dict[str, str]:
    """spec.inputs for Secrets of that data."""
    return {kind: input_hash(values) for kind, values in data.items()}


async def write(api: Api, name: str, kind: InputKind, data: dict[str, str]) -> Manifest:
    return await api.create("secrets", build_input(name, kind, data))


async def owner_of(api: Api, name: str, kind: InputKind) -> str | None:
    secret = await api.get("secrets", input_name(name, kind))
    assert secret is not None
    owners = secret["metadata"].get("ownerReferences") or []
    return owners[0]["uid"] if owners else None


async def wait_adopted(api: Api, made: Manifest, kind: InputKind) -> None:
    name, uid = made["metadata"]["name"], made["metadata"]["uid"]

    async def adopted() -> bool:
        return await owner_of(api, name, kind) == uid

    await eventually(adopted, 20, f"{name}.{kind} adopted")


async def waits_for_what_is_named(api: Api, name: str) -> None:
    wanted = inputs(first=FIRST, settings=SETTINGS)
    made = await api.create("conversations", a_conversation(name, inputs=wanted))
    waiting = await wait_reason(api, name, "WaitingForSecret")
    assert f"{name}.first" in condition(waiting, "Ready")["message"]
    assert "podUID" not in waiting["status"]
    await write(api, name, InputKind.FIRST, FIRST)
    await write(api, name, InputKind.SETTINGS, SETTINGS)
    await wait_ready(api, name)
    for kind in (InputKind.FIRST, InputKind.SETTINGS):
        await wait_adopted(api, made, kind)


async def content_must_be_what_is_named(api: Api, name: str) -> None:
    await write(api, name, InputKind.SETTINGS, OTHERS)
    await api.create("conversations", a_conversation(name, inputs=inputs(settings=SETTINGS)))
    await wait_reason(api, name, "WaitingForSecret")
    annotations = {INPUT_HASH: input_hash(SETTINGS)}
    lie: Manifest = {"metadata": {"annotations": annotations}}
    await api.patch("secrets", f"{name}.settings", lie)
    await asyncio.sleep(ONE_PASS_SECONDS)
    await wait_reason(api, name, "WaitingForSecret")
    assert await owner_of(api, name, InputKind.SETTINGS) is None
    await api.patch("secrets", f"{name}.settings", {"data": SETTINGS})
    await wait_ready(api, name)


async def another_type_is_no_input(api: Api, name: str) -> None:
    secret = build_input(name, InputKind.SETTINGS, SETTINGS) | {"type": "Opaque"}
    await api.create("secrets", secret)
    await api.create("conversations", a_conversation(name, inputs=inputs(settings=SETTINGS)))
    await wait_reason(api, name, "WaitingForSecret")


async def what_belongs_to_another_is_no_input(api: Api, name: str) -> None:
    other = await api.create("conversations", a_conversation(f"{name}-other", mode="Paused"))
    secret = build_input(name, InputKind.SETTINGS, SETTINGS)
    secret["metadata"]["ownerReferences"] = [owner_reference(other)]
    await api.create("secrets", secret)
    await api.create("conversations", a_conversation(name, inputs=inputs(settings=SETTINGS)))
    await wait_reason(api, name, "WaitingForSecret")
    assert await owner_of(api, name, InputKind.SETTINGS) == other["metadata"]["uid"]


async def what_is_ours_may_change(api: Api, name: str) -> None:
    """A writer that crashes between the Secret and the spec leaves a conversation that can start."""
    await write(api, name, InputKind.SETTINGS, SETTINGS)
    named = inputs(settings=SETTINGS)
    made = await api.create("conversations", a_conversation(name, inputs=named))
    before = await wait_ready(api, name)
    await wait_adopted(api, made, InputKind.SETTINGS)
    newer: Manifest = {
        "data": OTHERS,
        "metadata": {"annotations": {INPUT_HASH: input_hash(OTHERS)}},
    }
    await api.patch("secrets", f"{name}.settings", newer)
    await api.delete("pods", before["status"]["podName"])
    await wait_ready(api, name, not_pod=before["status"]["podUID"])


async def secret_environment(api: Api, name: str) -> None:
    data = env_data({"TOKEN": "t0ken"})
    await write(api, name, InputKind.ENV, data)
    await api.create("conversations", a_conversation(name, inputs=inputs(env=data)))
    ready = await wait_ready(api, name)
    pod = await api.get("pods", ready["status"]["podName"])
    assert pod is not None
    (runtime,) = pod["spec"]["containers"]
    assert runtime["envFrom"] == [{"secretRef": {"name": f"{name}.env"}}]
    assert "t0ken" not in str(pod)


async def reserved_environment(api: Api, name: str) -> None:
    data = env_data({"LD_PRELOAD": "/tmp/x.so"})
    await write(api, name, InputKind.ENV, data)
    await api.create("conversations", a_conversation(name, inputs=inputs(env=data)))
    refused = await wait_reason(api, name, "EnvNotAllowed")
    assert "LD_PRELOAD" in condition(refused, "Ready")["message"]
    assert "podUID" not in refused["status"]


async def first_is_immutable(api: Api, name: str) -> None:
    hashes = inputs(first=FIRST)
    await api.create("conversations", a_conversation(name, mode="Paused", inputs=hashes))
    for change in ({"first": input_hash(OTHERS)}, {"first": None}):
        with pytest.raises(ApiError, match="spec.inputs.first is immutable"):
            await api.patch("conversations", name, {"spec": {"inputs": change}})
    await api.create("conversations", a_conversation(f"{name}-none", mode="Paused"))
    with pytest.raises(ApiError, match="spec.inputs.first is immutable"):
        await api.patch("conversations", f"{name}-none", {"spec": {"inputs": hashes}})
    await api.patch("conversations", name, {"spec": {"inputs": {"settings": input_hash(OTHERS)}}})
    with pytest.raises(ApiError, match=r"spec\.inputs\.settings"):
        await api.patch("conversations", name, {"spec": {"inputs": {"settings": "no hash"}}})


def kept(name: str) -> Manifest:
    """A conversation whose history a manager keeps."""
    manifest = a_conversation(name, template="lasting")
    manifest["metadata"]["labels"] = {INSTALLATION: "here"}
    return manifest


async def mark_drained(api: Api, name: str, pod_uid: str) -> None:
    await api.patch("conversations", name, {"metadata": {"annotations": {DRAINED_POD: pod_uid}}})


async def a_pause_waits_for_the_mark(api: Api, name: str) -> None:
    await api.create("conversations", kept(name))
    status = (await wait_ready(api, name))["status"]
    await api.patch("conversations", name, {"spec": {"mode": "Paused"}})
    pausing = await wait_reason(api, name, "Pausing")
    assert "history" in condition(pausing, "Ready")["message"]
    await asyncio.sleep(ONE_PASS_SECONDS)
    pod = await api.get("pods", status["podName"])
    assert pod is not None and "deletionTimestamp" not in pod["metadata"]
    await mark_drained(api, name, status["podUID"])
    await wait_reason(api, name, "Paused", 10)


async def a_pause_waits_for_no_mark_for_ever(api: Api, name: str) -> None:
    await api.create("conversations", kept(name))
    await wait_ready(api, name)
    await api.patch("conversations", name, {"spec": {"mode": "Paused"}})
    await wait_reason(api, name, "Paused", 45)


async def what_was_drained_is_not_used_again(api: Api, name: str) -> None:
    await api.create("conversations", kept(name))
    status = (await wait_ready(api, name))["status"]
    await mark_drained(api, name, status["podUID"])
    after = (await wait_ready(api, name, not_pod=status["podUID"]))["status"]
    assert "restarts" not in after and "lastRestartReason" not in after


CASES: dict[str, Case] = {
    case.__name__.replace("_", "-"): case
    for case in (
        waits_for_what_is_named,
        content_must_be_what_is_named,
        another_type_is_no_input,
        what_belongs_to_another_is_no_input,
        what_is_ours_may_change,
        secret_environment,
        reserved_environment,
        first_is_immutable,
        a_pause_waits_for_the_mark,
        a_pause_waits_for_no_mark_for_ever,
        what_was_drained_is_not_used_again,
    )
}


async def test_inputs_and_marks(cluster: Cluster, crds: None, tmp_path: Path) -> None:
    async with namespace_world(cluster, tmp_path) as world:
        await world.api.create("runtimetemplates", a_template("lasting", workspace=PERSISTENT))
        await run_operator(world)
        await wait_accepted(world.api, "lasting")
        runs = (case(world.api, name) for name, case in CASES.items())
        results = await asyncio.gather(*runs, return_exceptions=True)
    wrong = {n: r for n, r in zip(CASES, results, strict=True) if isinstance(r, BaseException)}
    assert not wrong, wrong


async def test_orphans_are_swept(cluster: Cluster, crds: None, tmp_path: Path) -> None:
    async with namespace_world(cluster, tmp_path) as world:
        api = world.api
        await write(api, "nobody", InputKind.FIRST, FIRST)
        await write(api, "waited-for", InputKind.SETTINGS, SETTINGS)
        named = inputs(settings=SETTINGS)
        waiting = a_conversation("waited-for", mode="Paused", inputs=named)
        await api.create("conversations", waiting)
        foreign: dict[str, Any] = build_input("x", InputKind.ENV, {})
        foreign["metadata"]["name"] = "somebodys-own"
        await api.create("secrets", foreign)
        operator = await world.add_operator(resync_seconds="2", orphan_seconds="1")
        await operator.start()

        async def is_swept() -> bool:
            return await api.get("secrets", "nobody.first") is None

        await eventually(is_swept, 20, "the orphan swept")
        await asyncio.sleep(3 * ONE_PASS_SECONDS)
        assert await api.get("secrets", "waited-for.settings") is not None
        assert await api.get("secrets", "somebodys-own") is not None
