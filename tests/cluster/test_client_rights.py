"""The client's Role is exactly what the client does, and a tunnel leads to the right pod or nowhere."""

from pathlib import Path

import pytest

from conversations.client import Conversations, Inputs, InvalidRequest, RuntimeUnavailable
from conversations.cluster.permissions import CLIENT_RULES, PORT_FORWARD_RULES
from conversations.core.inputs import InputKind, build_input, document_data
from tests.cluster.acting import give_key, give_pod, owner_reference, report_ready
from tests.rig.access import create_identity, write_kubeconfig
from tests.rig.api import Api
from tests.rig.kubectl import find_binary
from tests.rig.manifests import a_conversation
from tests.rig.proxy import open_proxy
from tests.rig.record import flatten_rules


async def test_the_record_equals_the_role(api: Api, tmp_path: Path) -> None:
    token = await create_identity(api, CLIENT_RULES)
    async with open_proxy(api.cluster, writer="client") as proxy:
        server = {"server": proxy.url}
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", server, token, api.namespace)
        async with Conversations(kubeconfig=kubeconfig, access="direct") as client:
            started = await client.start("s")
            assert await client.start("s") == started
            await meet_an_input_of_a_predecessor(api, client)
            await client.pause("s", wait=False)
            resumed = await client.resume("s")
            key_hash = await give_key(api, started, "key")
            nobody = await give_pod(api, started, "http://127.0.0.1:9")
            await report_ready(api, resumed, **nobody, sessionKeyHash=key_hash)
            await client.wait_ready("s", timeout_seconds=20)
            with pytest.raises(RuntimeUnavailable):
                await client.list_files("s")
            await client.close("s")
        refused = [entry for entry in proxy.record.entries if entry.status in (401, 403)]
        assert refused == []
        assert proxy.record.granted_rules() == flatten_rules(CLIENT_RULES)


async def meet_an_input_of_a_predecessor(api: Api, client: Conversations) -> None:
    # An owner that lives: the garbage collector would be faster than the client.
    owner = await api.create("conversations", a_conversation("owner", mode="Paused"))
    left = build_input("t", InputKind.SETTINGS, document_data({"a": "left"}))
    left["metadata"]["ownerReferences"] = [owner_reference(owner)]
    await api.create("secrets", left)
    await client.start("t", inputs=Inputs(settings={"a": "old"}))
    await client.resume("t", inputs=Inputs(settings={"a": "new"}))


async def test_a_tunnel_leads_to_the_right_pod_or_nowhere(api: Api, tmp_path: Path) -> None:
    token = await create_identity(api, CLIENT_RULES + PORT_FORWARD_RULES)
    kubeconfig = write_kubeconfig(
        tmp_path / "kubeconfig", api.cluster.entry(), token, api.namespace
    )
    pod: dict[str, str] = {}

    async def tunnel(program: str, **changed: str) -> None:
        async with Conversations(
            kubeconfig=kubeconfig, access="port-forward", kubectl=program
        ) as client:
            started = await client.start("s")
            current = await api.get("conversations", "s")
            assert current is not None
            if "sessionKeyHash" not in current.get("status", {}):
                changed["sessionKeyHash"] = await give_key(api, started, "key")
                pod.update(await give_pod(api, started, "http://127.0.0.1:9"))
            await report_ready(api, started, **{**pod, **changed})
            await client.wait_ready("s", timeout_seconds=20)
            await client.list_files("s", timeout_seconds=30)

    with pytest.raises(RuntimeUnavailable, match="is gone"):
        await tunnel(find_binary("kubectl"), podUID="another")
    with pytest.raises(InvalidRequest, match="cannot be run"):
        await tunnel("/nonexistent/kubectl")
    with pytest.raises(RuntimeUnavailable):
        await tunnel("false")
    # There is no kubelet behind this pod: kubectl's tunnel ends at the first byte.
    with pytest.raises(RuntimeUnavailable):
        await tunnel(find_binary("kubectl"))
