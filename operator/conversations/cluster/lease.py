"""
Which of several operators acts, by a coordination.k8s.io Lease.

An optimisation: correctness rests on the session Secret and on preconditions, so two holders at
once cost some spare requests and nothing else.  Time is measured by our own monotonic clock from
the moment a renewal was *seen*; clocks of other machines do not matter.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from conversations.cluster.connection import Connection
from conversations.cluster.paths import collection
from conversations.core.errors import Conflict, ConversationError

logger = logging.getLogger(__name__)

RELEASE_SECONDS = 2.0
"""A successor need not wait, but we do not wait long to tell it either."""


@dataclass(frozen=True, slots=True)
class Candidacy:
    """Who wants which Lease, for how long at a time."""

    namespace: str
    name: str
    identity: str
    duration_seconds: int = 15
    renew_seconds: float = 5.0


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Spec(msgspec.Struct, rename="camel", omit_defaults=True):
    holder_identity: str = ""
    lease_duration_seconds: int = 15
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int = 0


class _Lease(msgspec.Struct):
    metadata: _Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)


class LeaderElection:
    """Calls `on_change(True)` when we become the holder and `on_change(False)` when we stop being it."""

    def __init__(
        self,
        connection: Connection,
        candidacy: Candidacy,
        on_change: Callable[[bool], None],
    ) -> None:
        self.leading = False
        self._connection = connection
        self._candidacy = candidacy
        self._name, self._identity = candidacy.name, candidacy.identity
        self._path = collection("coordination.k8s.io", "v1", "leases", candidacy.namespace)
        self._on_change = on_change
        self._seen = ("", 0.0)
        self._renewed = 0.0

    async def run(self) -> None:
        """Take part until cancelled."""
        renew_seconds = self._candidacy.renew_seconds
        # Others may take it once it is as old as that; stop acting a little before.
        good_seconds = 0.85 * self._candidacy.duration_seconds
        while True:
            try:
                async with asyncio.timeout(renew_seconds):
                    held = await self._acquire_or_renew()
            except (ConversationError, TimeoutError) as error:
                if not isinstance(error, Conflict):
                    logger.warning("lease %s: %s", self._name, error or type(error).__name__)
                held = self.leading and time.monotonic() - self._renewed < good_seconds
            self._set(held)
            pause = renew_seconds if held else renew_seconds / 2
            await asyncio.sleep(pause * random.uniform(0.8, 1.0))

    async def release(self) -> None:
        """Give the lease back, so that a successor need not wait.  Best effort."""
        if not self.leading:
            return
        self._set(False)
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                lease = await self._get()
                if lease is not None and lease.spec.holder_identity == self._identity:
                    lease.spec.holder_identity = ""
                    await self._put(lease)
        except (ConversationError, TimeoutError) as error:
            logger.warning("could not release the lease: %s", error or type(error).__name__)

    def _set(self, leading: bool) -> None:
        if leading != self.leading:
            self.leading = leading
            logger.info("lease %s: %s", self._name, "acquired" if leading else "lost")
            self._on_change(leading)

    async def _acquire_or_renew(self) -> bool:
        started = time.monotonic()
        lease = await self._get()
        if lease is None:
            await self._create()
        elif lease.spec.holder_identity == self._identity:
            await self._put(lease)
        elif self._is_free(lease, started):
            lease.spec.holder_identity = self._identity
            lease.spec.acquire_time = _now()
            lease.spec.lease_transitions += 1
            await self._put(lease)
        else:
            return False
        self._renewed = started
        return True

    def _is_free(self, lease: _Lease, now: float) -> bool:
        version = lease.metadata.resource_version
        if self._seen[0] != version:
            self._seen = (version, now)
        if not lease.spec.holder_identity:
            return True
        return now - self._seen[1] > lease.spec.lease_duration_seconds

    async def _get(self) -> _Lease | None:
        payload = await self._connection.get(f"{self._path}/{self._name}")
        return None if payload is None else msgspec.json.decode(payload, type=_Lease)

    async def _create(self) -> None:
        spec = _Spec(
            self._identity, self._candidacy.duration_seconds, acquire_time=_now(), renew_time=_now()
        )
        await self._connection.request("POST", self._path, body=self._manifest(spec, ""))

    async def _put(self, lease: _Lease) -> None:
        lease.spec.renew_time = _now()
        lease.spec.lease_duration_seconds = self._candidacy.duration_seconds
        body = self._manifest(lease.spec, lease.metadata.resource_version)
        await self._connection.request("PUT", f"{self._path}/{self._name}", body=body)

    def _manifest(self, spec: _Spec, resource_version: str) -> dict[str, Any]:
        metadata = {"name": self._name, "namespace": self._candidacy.namespace}
        if resource_version:
            metadata["resourceVersion"] = resource_version
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": msgspec.to_builtins(spec),
        }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
