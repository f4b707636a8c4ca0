"""
Objects with an API server's manners: versions, preconditions, watches that can be replayed.

What is modelled is what design §3 rests on: POST makes a name once, uids are never used again,
a merge patch with a resourceVersion is a compare-and-swap, a DELETE may name the uid it means, and
every change has a version of its own.
"""

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]

_MOMENT = "2026-01-01T00:00:00Z"
_KEPT = ("resourceVersion", "uid")


class Refused(Exception):
    """An answer that is not 2xx."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


@dataclass(frozen=True)
class Change:
    """One entry of the watch cache."""

    version: int
    kind: str
    collection: str
    manifest: Manifest


class Store:
    """All collections, by path; every answer is a copy."""

    def __init__(self) -> None:
        self.version = 100
        self.compacted = 0
        self.log: list[Change] = []
        self.objects: dict[tuple[str, str], Manifest] = {}
        self._uids = itertools.count(1)

    def create(self, collection: str, body: Manifest) -> Manifest:
        name = body["metadata"]["name"]
        if (collection, name) in self.objects:
            raise Refused(409, "AlreadyExists", f"{name} already exists")
        manifest = copy.deepcopy(body)
        manifest["metadata"] |= {
            "uid": f"uid-{next(self._uids)}",
            "creationTimestamp": _MOMENT,
            "generation": 1,
        }
        return self._write("ADDED", collection, manifest)

    def get(self, collection: str, name: str) -> Manifest:
        try:
            return copy.deepcopy(self.objects[collection, name])
        except KeyError:
            raise Refused(404, "NotFound", f"{name} not found") from None

    def list(self, collection: str, selector: str = "") -> list[Manifest]:
        return [
            copy.deepcopy(manifest)
            for (where, _), manifest in sorted(self.objects.items())
            if where == collection and selects(selector, manifest)
        ]

    def update(self, collection: str, name: str, body: Manifest) -> Manifest:
        """PUT: the whole object, of the version it says."""
        old = self.get(collection, name)
        self._compare(old, body)
        manifest = copy.deepcopy(body)
        manifest["metadata"] = old["metadata"] | manifest["metadata"]
        return self._write("MODIFIED", collection, manifest)

    def patch(self, collection: str, name: str, patch: Manifest) -> Manifest:
        """A merge patch; what changes nothing makes no version."""
        old = self.get(collection, name)
        self._compare(old, patch)
        metadata = {k: v for k, v in (patch.get("metadata") or {}).items() if k not in _KEPT}
        new = merge(old, {**patch, "metadata": metadata})
        if new == old:
            return old
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] += 1
        return self._write("MODIFIED", collection, new)

    def change(self, collection: str, name: str, **parts: Any) -> Manifest:
        """What kubelet, a scheduler or a person does to it."""
        return self.patch(collection, name, parts)

    def delete(self, collection: str, name: str, *, uid: str = "", grace: bool = False) -> Manifest:
        """At once, or gracefully: then it is on its way out until `remove`."""
        old = self.get(collection, name)
        if uid and old["metadata"]["uid"] != uid:
            raise Refused(409, "Conflict", f"the uid of {name} does not match")
        if not grace:
            # The answer is the object as it was, and that it is being deleted.
            gone = self.remove(collection, name)
            gone["metadata"]["deletionTimestamp"] = _MOMENT
            return gone
        if "deletionTimestamp" in old["metadata"]:
            return old
        old["metadata"]["deletionTimestamp"] = _MOMENT
        return self._write("MODIFIED", collection, old)

    def remove(self, collection: str, name: str) -> Manifest:
        manifest = self.get(collection, name)
        del self.objects[collection, name]
        return self._record("DELETED", collection, manifest)

    def compact(self) -> None:
        """Forget the history: watches and pages from before are expired."""
        self.compacted = self.version
        self.log.clear()

    def changes(self, collection: str, after: int, selector: str = "") -> Iterator[Change]:
        """What a watch of the collection shows, from a version on."""
        for change in self.log:
            if change.version <= after or change.collection != collection:
                continue
            if selects(selector, change.manifest):
                yield change

    def _compare(self, old: Manifest, new: Manifest) -> None:
        wanted = (new.get("metadata") or {}).get("resourceVersion")
        if wanted and wanted != old["metadata"]["resourceVersion"]:
            raise Refused(409, "Conflict", "the object has been modified")

    def _write(self, kind: str, collection: str, manifest: Manifest) -> Manifest:
        self._record(kind, collection, manifest)
        self.objects[collection, manifest["metadata"]["name"]] = manifest
        return copy.deepcopy(manifest)

    def _record(self, kind: str, collection: str, manifest: Manifest) -> Manifest:
        self.version += 1
        manifest["metadata"]["resourceVersion"] = str(self.version)
        self.log.append(Change(self.version, kind, collection, copy.deepcopy(manifest)))
        return manifest


def selects(selector: str, manifest: Manifest) -> bool:
    """`key` and `key=value` selectors."""
    if not selector:
        return True
    labels = manifest["metadata"].get("labels") or {}
    key, equals, value = selector.partition("=")
    return key in labels and (not equals or labels[key] == value)


def merge(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result
