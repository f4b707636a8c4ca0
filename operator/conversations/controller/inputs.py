"""The Secrets that hold what runtimes are told: read when needed, adopted, and swept when nobody's."""

import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from conversations.api.conversation import RESERVED_ENV_PATTERN
from conversations.api.labels import INPUT
from conversations.api.reasons import Reason
from conversations.cluster.connection import NotFound
from conversations.cluster.kube import Kube
from conversations.controller.caches import Caches
from conversations.core.build import owner_reference
from conversations.core.configuration import explain_input
from conversations.core.errors import Conflict
from conversations.core.inputs import (
    InputKind,
    input_hash,
    input_name,
    input_type,
    read_document,
)
from conversations.core.observed import Child, Conversation, FullSecret
from conversations.core.readiness import Finding
from conversations.core.world import World

logger = logging.getLogger(__name__)

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = re.compile(RESERVED_ENV_PATTERN)


class Inputs:
    """Contents are read live, checked, handed on and forgotten: none is kept or logged."""

    def __init__(self, kube: Kube, caches: Caches) -> None:
        self._kube = kube
        self._caches = caches

    async def check(self, world: World) -> Finding | None:
        """What keeps a start from having all that the spec names; None where all is there."""
        for kind in InputKind:
            if getattr(world.conversation.spec.inputs, kind) is None:
                continue
            found = await self.read(world.conversation, kind)
            if isinstance(found, Finding):
                return found
            if kind is InputKind.ENV and (bad := _bad_variable(found)):
                return Finding(
                    Reason.ENV_NOT_ALLOWED,
                    f"Secret {found.metadata.name} sets {bad!r}, which is reserved or no name of a variable.",
                )
        return None

    async def read(self, conversation: Conversation, kind: InputKind) -> FullSecret | Finding:
        """
        The Secret that holds what spec.inputs names, or why there is none.

        Until we have adopted it, its content must have the hash that the spec names.  After that it
        is this conversation's own: whoever may write it may change it, and the spec follows.
        """
        meta = conversation.metadata
        found = await self._kube.get_full_secret(input_name(meta.name, kind))
        named = getattr(conversation.spec.inputs, kind)
        if found is None or found.type != input_type(kind):
            return explain_input(meta.name, kind, exists=found is not None)
        if found.metadata.is_owned_by(meta.uid):
            return found
        if found.metadata.owner_references or input_hash(found.data) != named:
            return explain_input(meta.name, kind, exists=True)
        return found

    async def read_document(
        self, conversation: Conversation, kind: InputKind
    ) -> dict[str, Any] | None | Finding:
        """What the runtime is to be told; None where nothing of the kind is declared."""
        if getattr(conversation.spec.inputs, kind) is None:
            return None
        found = await self.read(conversation, kind)
        if isinstance(found, Finding):
            return found
        try:
            return read_document(found.data)
        except ValueError as error:
            return Finding(Reason.CONFIGURATION_REJECTED, f"Secret {found.metadata.name}: {error}.")

    async def adopt(self, world: World, kind: InputKind) -> None:
        """Own the Secret, by compare-and-swap on the version whose content was checked."""
        found = await self.read(world.conversation, kind)
        if isinstance(found, Finding) or found.metadata.owner_references:
            world.unfit_inputs.add(kind)
            return
        owner = owner_reference(world.conversation)
        try:
            owned = await self._kube.patch_secret_owner(found.metadata, owner)
        except NotFound:
            world.unfit_inputs.add(kind)
            return
        self._caches.inputs.observe(owned)

    async def sweep(self, older_than: timedelta) -> None:
        """
        Delete what has no owner and no Conversation names.

        Whoever writes an input and then crashes leaves it; whoever is slow gets `older_than`.
        """
        limit = datetime.now(UTC) - older_than
        for secret in list(self._caches.inputs.objects.values()):
            created = secret.metadata.creation_timestamp
            if secret.metadata.owner_references or created is None or created > limit:
                continue
            if not await self._is_named(secret):
                await self._delete(secret)

    async def _is_named(self, secret: Child) -> bool:
        name, _, kind = secret.metadata.name.rpartition(".")
        if secret.metadata.labels.get(INPUT) != kind or kind not in list(InputKind):
            return True  # Not of our making: left alone.
        live = await self._kube.get_conversation(name)
        return live is not None and getattr(live.spec.inputs, kind) is not None

    async def _delete(self, secret: Child) -> None:
        meta = secret.metadata
        try:
            await self._kube.delete_secret(meta.name, meta.uid, meta.resource_version)
        except Conflict:
            return  # Somebody has just written it: not an orphan.
        logger.info("deleted input %s: no Conversation names it", meta.name)


def _bad_variable(secret: FullSecret) -> str | None:
    for name in sorted(secret.data):
        if not _ENV_NAME.fullmatch(name) or _RESERVED.match(name):
            return name[:100]
    return None
