"""What an operator asked of the API server, in RBAC's words."""

import time
from dataclasses import dataclass, field

from conversations.cluster.permissions import Rule

WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True)
class Call:
    """One request as the authorizer sees it; `resource` carries the subresource: `pods/status`."""

    verb: str
    group: str
    resource: str
    name: str
    dry_run: bool

    @property
    def is_write(self) -> bool:
        return self.verb in WRITE_VERBS

    @property
    def counts(self) -> bool:
        """Whether it is a write in the sense of the promise: no dry run, no Lease renewal."""
        return self.is_write and not self.dry_run and self.resource != "leases"


@dataclass(frozen=True)
class Entry:
    """A call, who made it, and what the API server answered (0: the answer never came)."""

    call: Call
    writer: str
    status: int
    time: float = field(default_factory=time.monotonic)


def parse_call(method: str, path: str, query: dict[str, str]) -> Call | None:
    """The call, or None for a path that is no resource (discovery, version, health)."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (_at(parts, 1), parts[3:])
    if parts[0] not in ("api", "apis") or not rest:
        return None
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    resource, name, subresource = rest[0], _at(rest, 1), _at(rest, 2)
    return Call(
        verb=_verb(method, name, query),
        group=group,
        resource=f"{resource}/{subresource}" if subresource else resource,
        name=name,
        dry_run="dryRun" in query,
    )


def _at(parts: list[str], index: int) -> str:
    return parts[index] if len(parts) > index else ""


def _verb(method: str, name: str, query: dict[str, str]) -> str:
    if method == "GET":
        watching = query.get("watch", "") in ("1", "true", "True")
        return "watch" if watching else "get" if name else "list"
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    return _VERBS[method]


class Record:
    """Everything asked, in the order of the answers."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.other_paths: set[str] = set()

    def writes(self) -> list[Entry]:
        """The writes that count, committed or not."""
        return [entry for entry in self.entries if entry.call.counts]

    def granted_rules(self) -> set[tuple[str, str, str]]:
        """(group, resource, verb) of all that was asked, as a Role must grant it."""
        used = set()
        for entry in self.entries:
            call = entry.call
            used.add((call.group, call.resource, call.verb))
            if call.verb == "patch" and entry.status == 201:
                # Server-side apply of an object that did not exist is authorised as both.
                used.add((call.group, call.resource, "create"))
        return used

    def summary(self) -> list[str]:
        """`create pods 201`, one for each write that counts."""
        return [f"{e.call.verb} {e.call.resource} {e.status}" for e in self.writes()]


def flatten_rules(rules: tuple[Rule, ...]) -> set[tuple[str, str, str]]:
    """(group, resource, verb) of a Role's rules."""
    return {(rule.group, rule.resource, verb) for rule in rules for verb in rule.verbs}
