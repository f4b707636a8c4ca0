"""
The inputs of a Conversation: written before it, so that nothing ever waits for what nobody wrote.

What is there already was written by another caller, or is left from an earlier conversation of that
name.  An owner tells the two apart, because the operator makes a Conversation the owner of its inputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conversations.api.reasons import ConditionType, Reason
from conversations.client.calls import Calls, Secret
from conversations.client.watched import Watched
from conversations.core.errors import Conflict, InvalidRequest
from conversations.core.inputs import (
    MAX_PACKED_BYTES,
    InputKind,
    build_input,
    document_data,
    env_data,
    input_hash,
    input_name,
    input_type,
)
from conversations.runtime.deadline import Deadline

Packed = Mapping[InputKind, Mapping[str, str]]
"""The data of each input's Secret."""
Hashes = Mapping[InputKind, str | None]
"""What spec.inputs says; None for an input that is no longer given."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """
    What a runtime is told, apart from its spec: all of it may be secret.

    `first` starts the conversation and is delivered once.  `settings` and `env` may be replaced, and
    act at the next start.  None leaves what is there; an empty `env` takes it away.
    """

    first: Mapping[str, Any] | None = field(default=None, repr=False)
    settings: Mapping[str, Any] | None = field(default=None, repr=False)
    env: Mapping[str, str] | None = field(default=None, repr=False)

    def pack(self) -> Packed:
        """As Secrets hold it.  InvalidRequest if it is not JSON, or too big."""
        packed: dict[InputKind, Mapping[str, str]] = {}
        if self.first is not None:
            packed[InputKind.FIRST] = document_data(self.first)
        if self.settings is not None:
            packed[InputKind.SETTINGS] = document_data(self.settings)
        if self.env is not None:
            packed[InputKind.ENV] = _pack_env(self.env)
        return packed


class InputSecrets:
    """Writes them, and nothing where nothing changed."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def offer(self, name: str, packed: Packed, until: Deadline) -> Hashes | None:
        """The hashes for a Conversation that is to be made; None if there is one of that name."""
        hashes: dict[InputKind, str | None] = {}
        for kind, data in packed.items():
            if not data:
                continue
            found = await self._offer_one(name, kind, data, until)
            if found is None:
                return None
            hashes[kind] = found
        return hashes

    async def replace(self, target: Watched, packed: Packed, until: Deadline) -> Hashes:
        """Write what differs from what that Conversation names; return what it must name instead."""
        named = target.spec.get("inputs") or {}
        is_missing = _is_waiting(target)
        changed: dict[InputKind, str | None] = {}
        for kind, data in packed.items():
            wanted = input_hash(data) if data else None
            differs = named.get(kind) != wanted
            if kind is InputKind.FIRST and differs:
                continue  # Decided when the conversation was made.
            if data and (differs or is_missing):
                await self._write(target, kind, data, until)
            if differs:
                changed[kind] = wanted
        return changed

    async def discard(self, target: Watched, until: Deadline) -> None:
        """
        Delete what nobody owns of what that Conversation names: no owner would take it along.

        Before the Conversation goes: after that, a successor might take it for his own.
        """
        for kind in target.spec.get("inputs") or {}:
            left = await self._calls.get_secret(f"{target.metadata.name}.{kind}", until)
            if left is not None and left.type == input_type(kind) and not left.owner_uids:
                await self._calls.delete_secret(left, until)

    async def read_hash(self, name: str, kind: InputKind, until: Deadline) -> str | None:
        """The hash of what is there now."""
        found = await self._calls.get_secret(input_name(name, kind), until)
        return None if found is None else input_hash(found.data)

    async def _offer_one(
        self, name: str, kind: InputKind, data: Mapping[str, str], until: Deadline
    ) -> str | None:
        body = build_input(name, kind, data)
        while not await self._calls.create_secret(body, until):
            left = await self._calls.get_secret(input_name(name, kind), until)
            if left is None:
                continue
            if await self._calls.get_conversation(name, until) is not None:
                return None
            _check_type(left, kind)
            if left.owner_uids:
                await self._calls.delete_secret(left, until)
            elif kind is InputKind.FIRST:
                return input_hash(left.data)  # Another caller was first, and may have crashed.
            elif await self._overwrite(left, data, until):
                break
        return input_hash(data)

    async def _write(
        self, target: Watched, kind: InputKind, data: Mapping[str, str], until: Deadline
    ) -> None:
        name = target.metadata.name
        body = build_input(name, kind, data)
        while not await self._calls.create_secret(body, until):
            there = await self._calls.get_secret(input_name(name, kind), until)
            if there is None:
                continue
            _check_type(there, kind)
            if there.owner_uids - {target.metadata.uid}:
                await self._calls.delete_secret(there, until)
            elif kind is InputKind.FIRST or await self._overwrite(there, data, until):
                return

    async def _overwrite(self, there: Secret, data: Mapping[str, str], until: Deadline) -> bool:
        """False if somebody else has just written it."""
        wanted = input_hash(data)
        if input_hash(there.data) == wanted:
            return True
        gone = dict.fromkeys(there.data.keys() - data.keys())
        try:
            return await self._calls.patch_secret(there, gone | dict(data), wanted, until)
        except Conflict:
            return False


def _pack_env(variables: Mapping[str, str]) -> dict[str, str]:
    try:
        data = env_data(variables)
    except UnicodeEncodeError:
        # The original holds the value.
        raise InvalidRequest("environment variables must be valid Unicode") from None
    if sum(map(len, data.values())) > MAX_PACKED_BYTES:
        raise InvalidRequest(
            f"the environment is more than the {MAX_PACKED_BYTES} bytes of a Secret"
        )
    return data


def _is_waiting(target: Watched) -> bool:
    return target.reason(ConditionType.READY) == Reason.WAITING_FOR_SECRET


def _check_type(there: Secret, kind: InputKind) -> None:
    if there.type != input_type(kind):
        raise InvalidRequest(
            f"Secret {there.metadata.name} is in the way: it is no input of a Conversation"
        )
