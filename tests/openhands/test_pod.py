"""The pod that the operator makes of a conversation: P1 to P8, as far as no kubelet is needed."""

import asyncio
import json
import os
import subprocess
from functools import partial
from typing import Any

from openhands.events.action import MessageAction
from openhands.storage.data_models.conversation_status import ConversationStatus

from tests.openhands.rig.asking import run, wait_status
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.outer import Outer, Servers
from tests.openhands.rig.templates import v0_template
from tests.openhands.test_start import conversations_of, pods_of
from tests.rig.api import Api, Manifest
from tests.rig.manifests import EMPTY_DIR
from tests.rig.observe import CHILDREN
from tests.rig.waiting import eventually
from tests.rig.world import World, wait_accepted

RUNNING = ConversationStatus.RUNNING
MEBI = 2**20


async def made(outer: Outer, api: Api, sid: str) -> tuple[Manifest, dict[str, Any]]:
    """Its pod and the environment of the runtime, by name."""
    await run(outer, sid, "ada")
    (pod,) = await pods_of(api, sid)
    return pod, {entry["name"]: entry for entry in runtime(pod)["env"]}


def runtime(pod: Manifest) -> Manifest:
    found: Manifest = next(c for c in pod["spec"]["containers"] if c["name"] == "runtime")
    return found


async def test_p1_any_sid_gets_one_pod_of_a_name_that_dns_takes(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    users = ["auth0|x", "ada@example.com", "ünï", "a" * 200]
    sids = [test_id + "x" * (100 - len(test_id)), f"{test_id} Ä ß", f"{test_id}#&?%", test_id]
    await asyncio.gather(*(run(outer, s, u) for s, u in zip(sids, users, strict=True)))
    for sid, user in zip(sids, users, strict=True):
        (conversation,) = await conversations_of(api, sid)
        assert conversation["spec"]["sessionID"] == sid
        assert conversation["spec"]["user"] == user
        (pod,) = await pods_of(api, sid)
        assert pod["metadata"]["name"] == f"conv-{conversation['metadata']['uid']}"
        labels = pod["metadata"]["labels"].values()
        assert not {sid, user} & set(labels)


async def test_p2_the_environment(outer: Outer, api: Api, kubelet: Kubelet, test_id: str) -> None:
    pod, env = await made(outer, api, test_id)
    values = {name: entry.get("value") for name, entry in env.items()}
    mounts = {m["name"]: m["mountPath"] for m in runtime(pod)["volumeMounts"]}
    assert int(values["port"] or 0) == int(kubelet.nested(test_id).url.rpartition(":")[2])
    assert "secretKeyRef" in env["SESSION_API_KEY"]["valueFrom"]
    assert {
        name: values[name]
        for name in ("RUNTIME", "SERVE_FRONTEND", "ALLOW_SET_CONVERSATION_ID", "ENABLE_V1")
    } == {
        "RUNTIME": "local",
        "SERVE_FRONTEND": "0",
        "ALLOW_SET_CONVERSATION_ID": "1",
        "ENABLE_V1": "0",
    }
    assert values["SANDBOX_CLOSE_DELAY"] == "0"
    assert values["WORKSPACE_BASE"] == values["WORKSPACE_MOUNT_PATH_IN_SANDBOX"]
    assert any(f"{values['FILE_STORE_PATH']}/".startswith(f"{m}/") for m in mounts.values())


async def test_p3_probes_leave_time_to_boot_and_room_under_the_rate_limit(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    container = runtime((await made(outer, api, test_id))[0])
    startup = container["startupProbe"]
    assert startup["failureThreshold"] * startup.get("periodSeconds", 10) >= 120
    probes = [container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    # All three versions serve it; /ready is not in 1.4.0.
    assert {probe["httpGet"]["path"] for probe in probes} == {"/alive"}
    # The startup probe runs alone, the others after it.
    assert startup["periodSeconds"] >= 1
    assert sum(1 / probe["periodSeconds"] for probe in probes[1:]) <= 1


async def test_p4_memory_that_an_idle_server_fits_in(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    container = runtime((await made(outer, api, test_id))[0])
    assert _bytes(container["resources"]["requests"]["memory"]) >= 1.5 * 1024 * MEBI
    assert _bytes(container["resources"]["limits"]["memory"]) >= 1.5 * 1024 * MEBI
    assert "command" not in container  # So the image's entry point, tini, is the init process.


def _bytes(quantity: str) -> int:
    units = {"Mi": MEBI, "Gi": 1024 * MEBI}
    return int(quantity[:-2]) * units[quantity[-2:]]


def test_p5_the_server_does_not_start_without_a_key() -> None:
    environment = {name: os.environ[name] for name in ("PATH",)}
    ended = subprocess.run(
        ["/usr/local/bin/openhands-v0"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert ended.returncode != 0
    assert "SESSION_API_KEY" in ended.stderr


async def test_p5_no_pod_is_made_before_its_key(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    pod, env = await made(outer, api, test_id)
    reference = env["SESSION_API_KEY"]["valueFrom"]["secretKeyRef"]
    secret = await api.get("secrets", reference["name"])
    assert secret is not None and secret["data"][reference["key"]]
    assert not reference.get("optional")
    assert secret["metadata"]["creationTimestamp"] <= pod["metadata"]["creationTimestamp"]


async def test_p6_a_pause_keeps_the_volume_and_a_resume_finds_it(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    pod, _ = await made(outer, api, test_id)
    nested = kubelet.nested(test_id)
    nested.volume.files["a.txt"] = b"text"
    nested.say("hello")
    await outer.manager.close_session(test_id)
    resumed, _ = await made(outer, api, test_id)
    assert _claim(resumed) == _claim(pod)
    assert resumed["metadata"]["uid"] != pod["metadata"]["uid"]
    assert await outer.manager.select_file(test_id, "a.txt") == ("text", None)
    assert nested.user_messages == ["hello"]


def _claim(pod: Manifest) -> str:
    return str(
        next(
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"]["volumes"]
            if "persistentVolumeClaim" in volume
        )
    )


async def test_p7_a_pod_that_is_lost_comes_back_configured(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    pod, _ = await made(outer, api, test_id)
    await api.delete("pods", pod["metadata"]["name"])

    async def replaced() -> bool:
        found = await pods_of(api, test_id)
        return bool(found) and found[0]["metadata"]["uid"] != pod["metadata"]["uid"]

    await eventually(replaced, 30)
    await wait_status(outer, test_id, RUNNING)
    nested = kubelet.nested(test_id)
    assert nested.settings is not None
    assert len(nested.called("POST", "/start")) == 1


async def test_p7_operator_and_manager_restart_in_the_middle_of_a_start(
    servers: Servers, world: World, kubelet: Kubelet, test_id: str
) -> None:
    kubelet.nested(test_id).seconds_starting = 2
    async with servers.open() as outer:
        await outer.start(test_id, "ada", initial_user_msg=MessageAction(content="hello"))
    nested = kubelet.nested(test_id)
    await eventually(lambda: nested.called("POST", "/api/conversations"), 30)
    world.operator.kill()
    await world.operator.died()
    await world.operator.start()
    async with servers.open() as outer:
        await wait_status(outer, test_id, RUNNING)
    assert nested.user_messages == ["hello"]
    assert len(await pods_of(world.api, test_id)) == 1


async def test_p7_nothing_outlives_a_deleted_conversation(
    servers: Servers, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    async with servers.open(close_policy="Delete") as outer:
        await run(outer, test_id, "ada")
        (conversation,) = await conversations_of(api, test_id)
        uid = conversation["metadata"]["uid"]
        assert "finalizers" not in conversation["metadata"]
        await outer.manager.close_session(test_id)

    async def left() -> list[str]:
        items = [item for kind in CHILDREN for item in await api.list(kind)]
        return [item["metadata"]["name"] for item in items if uid in json.dumps(item["metadata"])]

    async def all_gone() -> bool:
        return not await left()

    await eventually(all_gone, 60, "children are collected")


async def test_p8_the_pod_has_no_token_no_root_and_no_runtime_class(
    outer: Outer, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    pod, _ = await made(outer, api, test_id)
    spec, security = pod["spec"], runtime(pod)["securityContext"]
    assert spec["automountServiceAccountToken"] is False
    assert (spec["securityContext"]["runAsNonRoot"], spec["securityContext"]["runAsUser"]) == (
        True,
        10001,
    )
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert "runtimeClassName" not in spec


async def test_p8_a_runtime_class_is_passed_through(
    servers: Servers, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    classes = "/apis/node.k8s.io/v1/runtimeclasses"
    # Runs on other versions are in other namespaces; a RuntimeClass is in none.
    name = api.namespace
    await api.request("POST", classes, json={"metadata": {"name": name}, "handler": "runsc"})
    try:
        template = v0_template(test_id, EMPTY_DIR, 3000)
        template["spec"]["pod"]["spec"]["runtimeClassName"] = name
        await api.create("runtimetemplates", template)
        await wait_accepted(api, test_id)
        kubelet.hold(test_id)
        async with servers.open(template=test_id) as outer:
            await outer.start(test_id)
            (pod,) = await eventually(partial(pods_of, api, test_id), 20, "its pod")
        assert pod["spec"]["runtimeClassName"] == name
    finally:
        await api.request("DELETE", f"{classes}/{name}")
