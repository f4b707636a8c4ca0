"""The rig itself: a proxy that miscounts would make every other test of this tier worthless."""

import asyncio
import json
from dataclasses import replace

import pytest

from conversations.cluster.permissions import Rule
from tests.rig import faults
from tests.rig.access import create_identity
from tests.rig.api import Api, ApiError
from tests.rig.faults import WriteFault
from tests.rig.proxy import Proxy, open_proxy
from tests.rig.waiting import eventually

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}


def through(proxy: Proxy, token: str | None, api: Api) -> Api:
    """A client that goes through the proxy."""
    cluster = replace(api.cluster, server=proxy.url, tls=None, anonymous_tls=None, token=token)
    return Api(cluster, api.namespace)


async def operator_token(api: Api) -> str:
    verbs = ("create", "get", "list", "patch", "watch", "delete")
    return await create_identity(api, (Rule("", "configmaps", verbs),))


async def test_record_is_what_the_authorizer_saw(api: Api) -> None:
    token = await operator_token(api)
    async with open_proxy(api.cluster) as proxy, through(proxy, token, api) as client:
        await client.apply("configmaps", CONFIG)
        await client.apply("configmaps", {**CONFIG, "data": {"a": "b"}})
        await client.get("configmaps", "a")
        await client.list("configmaps")
        with pytest.raises(ApiError, match="cannot list resource"):
            await client.list("secrets")
        assert proxy.record.granted_rules() == {
            ("", "configmaps", "patch"),
            ("", "configmaps", "create"),
            ("", "configmaps", "get"),
            ("", "configmaps", "list"),
            ("", "secrets", "list"),
        }
        assert proxy.record.summary() == ["patch configmaps 201", "patch configmaps 200"]


async def test_a_lost_reply_hides_a_committed_write(api: Api) -> None:
    token = await operator_token(api)
    async with open_proxy(api.cluster) as proxy, through(proxy, token, api) as client:
        proxy.arm(WriteFault(1, "after", faults.lose_reply))
        with pytest.raises(Exception, match="disconnected"):
            await client.create("configmaps", CONFIG)
        assert await api.get("configmaps", "a")
        assert proxy.record.summary() == ["create configmaps 201"]


async def test_a_fault_before_a_write_leaves_no_trace(api: Api) -> None:
    token = await operator_token(api)
    async with open_proxy(api.cluster) as proxy, through(proxy, token, api) as client:
        proxy.arm(WriteFault(1, "before", faults.answer(429, "TooManyRequests", Retry_After="1")))
        with pytest.raises(ApiError) as refusal:
            await client.create("configmaps", CONFIG)
        assert refusal.value.status == 429
        assert await api.get("configmaps", "a") is None
        await client.create("configmaps", CONFIG)


async def test_frozen_watches_thaw_and_expire(api: Api) -> None:
    token = await operator_token(api)
    seen: list[str] = []

    async def follow(client: Api) -> None:
        async for kind, manifest in client.watch("configmaps", fieldSelector="metadata.name=a"):
            seen.append(kind if kind == "ERROR" else json.dumps(manifest["metadata"]["name"]))

    async with open_proxy(api.cluster) as proxy, through(proxy, token, api) as client:
        task = asyncio.create_task(follow(client))
        await eventually(lambda: proxy.record.entries, 5)
        proxy.freeze_watches("configmaps")
        await api.create("configmaps", CONFIG)
        await api.patch("configmaps", "a", {"data": {"b": "c"}})
        assert seen == []
        proxy.thaw_watches()
        await eventually(lambda: seen == ['"a"', '"a"'], 5)
        proxy.expire_watches()
        await task
        assert seen[-1] == "ERROR"
