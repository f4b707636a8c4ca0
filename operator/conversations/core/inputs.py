"""
What a runtime must be told, in Secrets beside the Conversation: names, hashes, packing, manifests.

Whoever starts a conversation writes these first and then the Conversation, whose spec.inputs names
the hash of each: an input that is not there yet never looks like one that was not given.
"""

import gzip
import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Any

from conversations.api import labels
from conversations.api.group import GROUP
from conversations.core.errors import InvalidRequest

DATA_KEY = "input"
"""The one data key of the kinds that hold a document."""
MAX_PACKED_BYTES = 900 * 1024
"""A Secret may have 1 MiB in all."""
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
_GZIP_ABOVE = 64 * 1024
_GZIP_MAGIC = b"\x1f\x8b"


class InputKind(StrEnum):
    FIRST = "first"
    """A document: what starts the conversation, once."""
    SETTINGS = "settings"
    """A document: what each start of the container is told."""
    ENV = "env"
    """Environment variables, a data key for each."""


def input_name(conversation: str, kind: InputKind) -> str:
    """The Secret's name: a Conversation can never name somebody else's."""
    return f"{conversation}.{kind}"


def input_type(kind: InputKind) -> str:
    """The Secret's type: no other Secret can be taken for an input."""
    return f"{GROUP}/{kind}"


def input_hash(data: Mapping[str, str]) -> str:
    """Hex SHA-256 of a Secret's data as the API has it: base64 text by key."""
    return sha256(
        json.dumps(dict(data), sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


def document_data(document: Mapping[str, Any]) -> dict[str, str]:
    """The data of a `first` or `settings` Secret.  InvalidRequest for what no Secret can hold."""
    try:
        plain = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        packed = plain.encode()
    except (TypeError, ValueError):
        # The original holds the document.
        raise InvalidRequest("inputs can only be declared in JSON and valid Unicode") from None
    if len(packed) > _GZIP_ABOVE:
        packed = gzip.compress(packed, mtime=0)
    if len(packed) > MAX_PACKED_BYTES:
        raise InvalidRequest(
            f"the inputs are {len(packed)} bytes when packed, and a Secret takes "
            f"{MAX_PACKED_BYTES}: shorten the replay, or put images where they have a URL"
        )
    return {DATA_KEY: b64encode(packed).decode()}


def env_data(variables: Mapping[str, str]) -> dict[str, str]:
    """The data of an `env` Secret."""
    return {name: b64encode(value.encode()).decode() for name, value in variables.items()}


def read_document(data: Mapping[str, str]) -> dict[str, Any]:
    """The document in a `first` or `settings` Secret; ValueError, without its text, if there is none."""
    try:
        packed = b64decode(data[DATA_KEY], validate=True)
        plain = _unzip(packed) if packed.startswith(_GZIP_MAGIC) else packed
        document = json.loads(plain)
    except (KeyError, ValueError, zlib.error, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ValueError("it does not hold a document")
    return document


def build_input(conversation: str, kind: InputKind, data: Mapping[str, str]) -> dict[str, Any]:
    """The Secret.  It has no owner until the operator has seen that the Conversation names it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": input_name(conversation, kind),
            "labels": {labels.INPUT: str(kind), labels.MANAGED_BY: labels.MANAGER},
            "annotations": {labels.INPUT_HASH: input_hash(data)},
        },
        "type": input_type(kind),
        # What starts a conversation is decided once, by whoever writes it first.
        "immutable": kind is InputKind.FIRST,
        "data": dict(data),
    }


def _unzip(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    plain = unpacker.decompress(packed, MAX_DOCUMENT_BYTES)
    if unpacker.unconsumed_tail:
        raise ValueError("too big")
    return plain
