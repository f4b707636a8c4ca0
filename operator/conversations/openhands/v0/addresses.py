"""
Where the VS Code and the web servers of a runtime are, as its nested server says.

The routes read them as plain attributes on the event loop, where nobody can wait for a pod.  So they
are asked for when the conversation is attached; once a minute for each pod, because every other
route attaches, too.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import httpx

from conversations.openhands.v0.nested import Call, NestedServers, is_text, read_json

ASK_SECONDS = 3.0
FRESH_SECONDS = 60.0
FAILED_SECONDS = 5.0
MAX_KEPT = 512

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Said(Generic[T]):
    """An answer, or why there is none."""

    value: T
    problem: str | None = None

    def read(self) -> T:
        """The answer; RuntimeError says why there is none."""
        if self.problem is not None:
            raise RuntimeError(self.problem)
        return self.value


@dataclass(frozen=True, slots=True)
class Addresses:
    """What one pod says."""

    vscode_url: Said[str | None]
    web_hosts: Said[dict[str, int]]

    @property
    def fresh_seconds(self) -> float:
        problem = self.vscode_url.problem or self.web_hosts.problem
        return FRESH_SECONDS if problem is None else FAILED_SECONDS


@dataclass
class AddressBook:
    """The addresses of all pods, by pod uid."""

    nested: NestedServers
    _known: OrderedDict[str, tuple[float, Addresses]] = field(default_factory=OrderedDict)

    async def look_up(self, sid: str, pod_uid: str) -> Addresses:
        """What the pod says of itself, or said a moment ago."""
        asked_time, known = self._known.get(pod_uid, (0.0, None))
        if known is not None and time.monotonic() - asked_time < known.fresh_seconds:
            return known
        addresses = Addresses(*await asyncio.gather(self._ask_vscode(sid), self._ask_hosts(sid)))
        self._known[pod_uid] = (time.monotonic(), addresses)
        self._known.move_to_end(pod_uid)
        while len(self._known) > MAX_KEPT:
            self._known.popitem(last=False)
        return addresses

    async def _ask_vscode(self, sid: str) -> Said[str | None]:
        answer = await self._ask(sid, "vscode-url")
        url = answer.value.get("vscode_url")
        if answer.problem is None and (url is None or _is_web_url(url)):
            return Said(url)
        return Said(None, answer.problem or _useless("vscode-url"))

    async def _ask_hosts(self, sid: str) -> Said[dict[str, int]]:
        answer = await self._ask(sid, "web-hosts")
        hosts = answer.value.get("hosts")
        if isinstance(hosts, dict) and all(map(_is_web_host, hosts.items())):
            return Said(hosts)
        return Said({}, answer.problem or _useless("web-hosts"))

    async def _ask(self, sid: str, name: str) -> Said[dict[str, Any]]:
        try:
            response = await self.nested.ask(Call(sid, name, ASK_SECONDS))
        except (ValueError, httpx.HTTPError) as error:
            return Said({}, str(error))
        answer = read_json(response)
        if response.status_code == 200 and isinstance(answer, dict):
            return Said(answer)
        return Said({}, f"the runtime answered {response.status_code} to {name}")


def _useless(name: str) -> str:
    return f"the runtime's answer to {name} makes no sense"


def _is_web_host(entry: tuple[object, object]) -> bool:
    return _is_web_url(entry[0]) and isinstance(entry[1], int)


def _is_web_url(url: object) -> bool:
    # The browser opens it: what runs in a pod must not be able to name a script.
    try:
        return isinstance(url, str) and is_text(url) and urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False
