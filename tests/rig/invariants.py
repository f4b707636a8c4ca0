"""
Design §8, checked on every event while a test does its worst.

    I1  at most one live pod per conversation uid
    I3  Ready is true only while that very pod is ready (within 5 s, while an operator runs)
    I4  key bytes never appear in logs, events, status, metrics or process arguments

A pod is live until it is gone or its phase is terminal; a pod that is being deleted is live.
"""

import asyncio
import base64
import contextlib
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence

from conversations.api.labels import CONVERSATION_UID
from tests.rig.api import Api, ApiError, Manifest
from tests.rig.normalise import has_ended
from tests.rig.observe import condition
from tests.rig.operator import Operator

LIE_SECONDS = 5.0
TICK_SECONDS = 0.2
SHOWN = 10
WATCHED = ("pods", "conversations", "secrets", "events")


class Invariants:
    """Follows a namespace by watches of its own; `violations` is empty in a sound world."""

    def __init__(self, api: Api, operators: Callable[[], Sequence[Operator]]) -> None:
        self._api = api
        self._operators = operators
        self._pods: dict[str, Manifest] = {}
        self._conversations: dict[str, Manifest] = {}
        self._keys: set[str] = set()
        self._texts: dict[str, set[str]] = defaultdict(set)
        self._untrue_since: dict[str, float] = {}
        self.violations: list[str] = []

    async def follow(self, resource: str) -> None:
        """Observe what exists, then every change; starts over when the watch ends."""
        while True:
            version = await self._list_patiently(resource)
            with contextlib.suppress(ApiError):  # 410: list again.
                async for kind, manifest in self._api.watch(resource, resourceVersion=version):
                    if kind == "ERROR":
                        break
                    self._observe(resource, kind, manifest)

    async def check_readiness(self) -> None:
        """I3 is about time passing, which no event tells."""
        while True:
            self._check_lies()
            await asyncio.sleep(TICK_SECONDS)

    async def _list_patiently(self, resource: str) -> str:
        while True:
            try:
                return await self._list(resource)
            except ApiError as error:
                # The storage of a CRD that was applied a moment ago, perhaps by another process.
                if error.status != 429:
                    raise
                await asyncio.sleep(TICK_SECONDS)

    async def _list(self, resource: str) -> str:
        path = f"/api/v1/namespaces/{self._api.namespace}/{resource}"
        if resource == "conversations":
            path = f"/apis/conversation-operator.io/v1alpha1/{path.removeprefix('/api/v1/')}"
        answer = await self._api.request("GET", path)
        if store := self._store(resource):
            store.clear()  # What vanished while nobody watched is not among the items.
        for manifest in answer["items"]:
            self._observe(resource, "ADDED", manifest)
        return str(answer["metadata"]["resourceVersion"])

    def _observe(self, resource: str, kind: str, manifest: Manifest) -> None:
        name = manifest["metadata"]["name"]
        if resource == "secrets":
            self._learn_keys(manifest)
            return
        self._texts[resource].add(json.dumps(manifest))
        if (store := self._store(resource)) is None:
            return
        store.pop(name, None)
        if kind != "DELETED":
            store[name] = manifest
        if resource == "pods":
            self._check_single(manifest)

    def _store(self, resource: str) -> dict[str, Manifest] | None:
        return {"pods": self._pods, "conversations": self._conversations}.get(resource)

    def _learn_keys(self, secret: Manifest) -> None:
        if CONVERSATION_UID in secret["metadata"].get("labels", {}):
            for value in secret.get("data", {}).values():
                self._keys |= {value, base64.b64decode(value).decode()}

    def _check_single(self, changed: Manifest) -> None:
        uid = changed["metadata"].get("labels", {}).get(CONVERSATION_UID)
        live = [
            pod["metadata"]["uid"]
            for pod in self._pods.values()
            if pod["metadata"].get("labels", {}).get(CONVERSATION_UID) == uid and not has_ended(pod)
        ]
        if uid and len(live) > 1:
            self.violations.append(f"I1: conversation {uid} has live pods {live}")

    def _check_lies(self) -> None:
        serving = any(operator.is_serving for operator in self._operators())
        now = time.monotonic()
        for name, conversation in self._conversations.items():
            if not serving or self._is_truthful(conversation):
                self._untrue_since.pop(name, None)
            elif now - self._untrue_since.setdefault(name, now) > LIE_SECONDS:
                self.violations.append(
                    f"I3: {name} claims Ready on {conversation['status']['podUID']}"
                )
                self._untrue_since[name] = now

    def _is_truthful(self, conversation: Manifest) -> bool:
        if condition(conversation, "Ready").get("status") != "True":
            return True
        status = conversation["status"]
        pod = self._pods.get(status.get("podName", ""), {})
        same = pod.get("metadata", {}).get("uid") == status.get("podUID")
        return same and condition(pod, "Ready").get("status") == "True"

    def check_keys(self, texts: dict[str, str]) -> None:
        """I4 over everything observed, and over what the caller brings (logs, metrics, argv)."""
        everything = {kind: "\n".join(found) for kind, found in self._texts.items()} | texts
        for where, text in everything.items():
            if any(key in text for key in self._keys):
                self.violations.append(f"I4: a session key appears in {where}")


@contextlib.asynccontextmanager
async def watched(
    api: Api, operators: Callable[[], Sequence[Operator]]
) -> AsyncIterator[Invariants]:
    """Check the invariants throughout the block; fail at its end if one did not hold."""
    invariants = Invariants(api, operators)
    tasks = [asyncio.create_task(invariants.follow(resource)) for resource in WATCHED]
    tasks.append(asyncio.create_task(invariants.check_readiness()))
    try:
        yield invariants
        _raise_failure(tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    invariants.check_keys(await _outputs(operators()))
    assert not invariants.violations, "\n".join(invariants.violations[:SHOWN])


def _raise_failure(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        if task.done():
            task.result()


async def _outputs(operators: Sequence[Operator]) -> dict[str, str]:
    texts = {}
    for operator in operators:
        texts[f"the log {operator.log.name}"] = operator.log_text()
        if operator.is_running:
            texts["the metrics"] = await operator.metrics()
            texts["the process arguments"] = operator.arguments().decode()
    return texts
