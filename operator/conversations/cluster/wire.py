"""
What LIST and WATCH say, on the wire.

Lists and bookmarks of any resource, objects as far as any can be read, and versions as numbers.
"""

from typing import Generic, Protocol, TypeVar

import msgspec


class Meta(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


class Resource(Protocol):
    """What the reflector needs of an object."""

    @property
    def metadata(self) -> Meta: ...


T = TypeVar("T", bound=Resource)


class ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class Page(msgspec.Struct, Generic[T]):
    metadata: ListMeta
    items: list[T] | None = None  # PartialObjectMetadataList says null for none.


class RawPage(msgspec.Struct):
    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


class Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class BareMeta(msgspec.Struct, rename="camel"):
    name: str = ""
    uid: str = ""
    resource_version: str = ""


class Bare(msgspec.Struct):
    """A bookmark, or as much of an object as can always be read."""

    metadata: BareMeta


class ErrorStatus(msgspec.Struct):
    code: int = 0
    message: str = ""


def version_of(item: Resource) -> int:
    return number(item.metadata.resource_version)


def number(resource_version: str) -> int:
    """Kubernetes promises since 1.35 that these can be compared; they always could."""
    return int(resource_version or 0)
