"""
Performs one action of the actions.

Every answer goes into the caches or the World, so that the plan can be asked again; which answer
means what is design §3.
"""

import logging
import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from conversations.api.labels import CONVERSATION_UID, SESSION_KEY_HASH
from conversations.api.reasons import Reason
from conversations.cluster.connection import NotFound
from conversations.cluster.kube import Kube
from conversations.controller import metrics
from conversations.controller.bootstrap import Bootstrapper
from conversations.controller.caches import Caches
from conversations.controller.recorder import Recorder
from conversations.core import actions
from conversations.core.build import build_claim, build_pod, build_secret
from conversations.core.errors import ApiRejected, Conflict
from conversations.core.events import news
from conversations.core.names import children_name
from conversations.core.observed import Child, Status
from conversations.core.readiness import Finding
from conversations.core.refusals import explain_refusal, retry_seconds
from conversations.core.status import compute_loss, compute_volume_gone, status_patch
from conversations.core.world import Refusal, World

logger = logging.getLogger(__name__)

TAKEN_RETRY_SECONDS = 60.0

_NO_WRITES = (
    actions.ReadConversation,
    actions.ReadSecret,
    actions.ReadClaim,
    actions.ReadInputs,
    actions.ListPods,
    actions.Configure,
)


class Performer:
    """The only place where the operator changes anything."""

    def __init__(
        self,
        kube: Kube,
        caches: Caches,
        recorder: Recorder,
        bootstrapper: Bootstrapper,
        resync_seconds: float,
    ) -> None:
        self.recorder = recorder
        self.bootstrapper = bootstrapper
        self._kube = kube
        self._caches = caches
        self._inputs = bootstrapper.inputs
        self._resync_seconds = resync_seconds
        self._performers: dict[type[actions.Action], Callable[[Any, World], Awaitable[None]]] = {
            actions.ReadConversation: self._read_conversation,
            actions.ReadSecret: self._read_secret,
            actions.CreateSecret: self._create_secret,
            actions.ReadClaim: self._read_claim,
            actions.CreateClaim: self._create_claim,
            actions.ReadInputs: self._read_inputs,
            actions.AdoptInput: self._adopt_input,
            actions.Configure: self._configure,
            actions.CreatePod: self._create_pod,
            actions.ListPods: self._list_pods,
            actions.DeletePod: self._delete_pod,
            actions.RecordLoss: self._record_loss,
            actions.RecordVolumeGone: self._record_volume_gone,
        }

    async def perform(self, action: actions.Action, world: World) -> None:
        """Raises TransientError; a refusal by the API server is remembered, not raised."""
        name = type(action).__name__
        logger.debug("%s: %s", world.conversation.metadata.name, name)
        if isinstance(action, _NO_WRITES):
            await self._performers[type(action)](action, world)
            return
        result = "failed"
        try:
            await self._performers[type(action)](action, world)
            result = "ok"
        except ApiRejected as error:
            result = "refused"
            if not isinstance(action, actions.CREATIONS):
                raise
            finding = explain_refusal(error.status, error.message)
            wait = retry_seconds(finding.reason, self._resync_seconds, random.random())
            self._refuse(world, finding, wait)
        finally:
            metrics.WRITES.labels(name, result).inc()

    async def write_status(self, world: World, patch: dict[str, Any]) -> None:
        """Compare-and-swap the status; raises Conflict when the Conversation has moved on."""
        meta = world.conversation.metadata
        try:
            updated = await self._kube.patch_conversation_status(world.conversation, patch)
        except NotFound:
            self._caches.conversations.forget(meta.name, meta.uid)
            raise Conflict(f"Conversation {meta.name} is gone") from None
        world.conversation = updated
        self._caches.conversations.observe(world.conversation)
        metrics.WRITES.labels("PatchStatus", "ok").inc()

    async def _read_conversation(self, _: actions.ReadConversation, world: World) -> None:
        name = world.conversation.metadata.name
        live = await self._kube.get_conversation(name)
        if live is None or live.metadata.uid != world.uid:
            self._caches.conversations.forget(name, world.uid)
            return
        self._caches.conversations.observe(live)
        world.confirmed = True

    async def _read_secret(self, _: actions.ReadSecret, world: World) -> None:
        found = await self._kube.get_secret(children_name(world.uid))
        world.secret_read = True
        ours = found is not None and found.metadata.is_owned_by(world.uid)
        world.secret = found if ours else None

    async def _create_secret(self, _: actions.CreateSecret, world: World) -> None:
        manifest = build_secret(
            world.conversation, secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        )
        try:
            created = await self._kube.create_secret(manifest)
        except Conflict:
            found = await self._kube.get_secret(children_name(world.uid))
            if found is None:
                raise  # Deleted in between; the next pass decides anew.
            world.secret_read = True
            if found.metadata.is_owned_by(world.uid):
                world.secret = found
            else:
                self._taken(world, "Secret")
            return
        world.memory.refusal = None
        world.memory.has_decided = True
        self._caches.secrets.observe(created)
        world.secret, world.secret_read, world.secret_created = created, True, True

    async def _read_claim(self, _: actions.ReadClaim, world: World) -> None:
        found = await self._kube.get_claim(children_name(world.uid))
        world.claim_read = True
        if found is None:
            world.claim = None
        elif not _is_our_claim(found, world):
            self._taken(world, "PersistentVolumeClaim")
        elif found.metadata.deletion_timestamp is not None:
            leaving = Finding(
                Reason.WAITING_FOR_OLD_POD,
                f"PersistentVolumeClaim {found.metadata.name} is being deleted; the start goes on when it is gone.",
            )
            self._refuse(world, leaving, 5.0)
        else:
            world.claim = found

    async def _create_claim(self, _: actions.CreateClaim, world: World) -> None:
        assert world.template is not None
        try:
            world.claim = await self._kube.create_claim(
                build_claim(world.conversation, world.template)
            )
        except Conflict:
            world.claim_read = False
        else:
            world.memory.refusal = None

    async def _read_inputs(self, _: actions.ReadInputs, world: World) -> None:
        world.missing_input = await self._inputs.check(world)
        world.inputs_read = True

    async def _adopt_input(self, action: actions.AdoptInput, world: World) -> None:
        await self._inputs.adopt(world, action.kind)
        world.inputs = self._caches.inputs_of(world.conversation.metadata.name)

    async def _configure(self, _: actions.Configure, world: World) -> None:
        self.bootstrapper.start(world)

    async def _create_pod(self, _: actions.CreatePod, world: World) -> None:
        assert world.template is not None and world.secret is not None
        key_hash = world.secret.metadata.annotations.get(SESSION_KEY_HASH, "")
        manifest = build_pod(world.conversation, world.template, key_hash)
        try:
            created = await self._kube.create_pod(manifest)
        except Conflict:
            await self._meet_existing_pod(world)
            return
        world.memory.refusal = None
        self._caches.pods.observe(created)

    async def _meet_existing_pod(self, world: World) -> None:
        """AlreadyExists: ours by owner, and then the plan looks at it; or somebody else's."""
        found = await self._kube.get_pod(children_name(world.uid))
        if found is None:
            raise Conflict("the pod of that name went away; again")
        labelled = found.metadata.labels.get(CONVERSATION_UID) == world.uid
        if labelled and found.metadata.is_owned_by(world.uid):
            world.memory.refusal = None
            self._caches.pods.observe(found)
        else:
            self._taken(world, "Pod")

    async def _list_pods(self, _: actions.ListPods, world: World) -> None:
        live = await self._kube.list_pods(world.uid)
        world.pods_listed = True
        seen = {pod.metadata.uid for pod in live}
        for pod in world.pods:
            if pod.metadata.uid not in seen:
                self._caches.pods.forget(pod.metadata.name, pod.metadata.uid)
        for pod in live:
            self._caches.pods.observe(pod)

    async def _delete_pod(self, action: actions.DeletePod, world: World) -> None:
        leaving = await self._kube.delete_pod(action.name, action.uid)
        world.deleted.add(action.uid)
        known = self._caches.pods.get(action.name)
        if leaving is None:
            self._caches.pods.forget(action.name, action.uid)
        elif known is not None and known.metadata.uid == action.uid:
            self._caches.pods.observe(msgspec.structs.replace(known, metadata=leaving))

    async def _record_loss(self, action: actions.RecordLoss, world: World) -> None:
        await self._record(world, compute_loss(world, action))
        metrics.RESTARTS.labels(action.reason).inc()
        world.memory.started_at = world.clock

    async def _record_volume_gone(self, _: actions.RecordVolumeGone, world: World) -> None:
        await self._record(world, compute_volume_gone(world))

    async def _record(self, world: World, status: Status) -> None:
        old = world.conversation.status
        await self.write_status(world, status_patch(old, status))
        # The version we swapped was the live one: same uid, not deleted, mode as we saw it.
        world.confirmed = True
        await self.recorder.post(world.conversation, news(old, status))

    def _taken(self, world: World, kind: str) -> None:
        name = children_name(world.uid)
        sentence = f"A {kind} named {name} exists and is not this Conversation's; remove it."
        self._refuse(world, Finding(Reason.NAME_TAKEN, sentence), TAKEN_RETRY_SECONDS)

    def _refuse(self, world: World, finding: Finding, seconds: float) -> None:
        world.memory.refusal = Refusal(
            finding.reason, finding.message, world.made_from, world.clock + seconds
        )


def _is_our_claim(claim: Child, world: World) -> bool:
    # A retained claim has no owner by design; its label says whose it is.
    meta = claim.metadata
    retained = not meta.owner_references and meta.labels.get(CONVERSATION_UID) == world.uid
    return retained or meta.is_owned_by(world.uid)
