"""What a nested OpenHands server is to be told: the two documents of a conversation, checked, as request bodies."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

Document = Mapping[str, Any]

MAX_SID = 100
FINGERPRINT = "user_version"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TEXTS = (
    "initial_user_msg",
    "replay_json",
    "conversation_instructions",
    "repository",
    "selected_branch",
    "git_provider",
)
_MCP_KINDS = ("sse_servers", "stdio_servers", "shttp_servers")
# The nested server keeps what it stored before where the new value is null; these clear it.
# A blank key is stored as null, and a blank URL clears one only where settings are stored already.
_KEYS = ("llm_api_key", "search_api_key")


class Undeliverable(ValueError):
    """A document holds what no nested server can be told; the message names the place, not its content."""


@dataclass(frozen=True, slots=True)
class Declared:
    """
    Everything declared for one conversation.

    `configured_before`: an earlier container of this conversation was configured once, so that
    tokens which have expired since are no reason not to start.
    """

    sid: str
    first: Document | None = field(default=None, repr=False)
    settings: Document | None = field(default=None, repr=False)
    configured_before: bool = False

    def check(self) -> None:
        """Undeliverable, if it is."""
        _check_sid(self.sid)
        if self.first is not None:
            _check_first(self.first)
        if self.settings is not None:
            _check_settings(self.settings)

    @property
    def wants_message(self) -> bool:
        """Whether something must appear in the history that only the creation can bring there."""
        first = self.first or {}
        return bool(
            first.get("initial_user_msg") or first.get("image_urls") or first.get("replay_json")
        )

    @property
    def repository(self) -> str | None:
        repository: str | None = (self.first or {}).get("repository") or None
        return repository

    @property
    def provider_tokens(self) -> dict[str, Any]:
        return {
            provider: token
            for provider, token in ((self.settings or {}).get("provider_tokens") or {}).items()
            if token.get("token")
        }

    @property
    def secrets(self) -> dict[str, Document]:
        """By name."""
        return {secret["name"]: secret for secret in (self.settings or {}).get("secrets") or []}

    @property
    def fingerprint(self) -> int:
        """A number for the settings document, as large as JSON numbers may safely be."""
        told = [self.settings, (self.first or {}).get("mcp_config")]
        return int.from_bytes(sha256(json.dumps(told, sort_keys=True).encode()).digest()[:6])

    def settings_body(self, *, replacing: bool) -> dict[str, Any]:
        """
        The body of POST /api/settings; `replacing` what this container's server has stored already.

        The fingerprint goes where OpenHands keeps a number that nothing of it reads: by it another
        attempt sees whose settings and secrets are there.
        """
        body = dict((self.settings or {}).get("settings") or {})
        body[FINGERPRINT] = self.fingerprint
        for key in _KEYS:
            body[key] = body.get(key) or " "
        if replacing:
            body["llm_base_url"] = body.get("llm_base_url") or ""
        if (merged := self._mcp_config(body.get("mcp_config"))) is not None:
            body["mcp_config"] = merged
        return body

    def _mcp_config(self, standing: Document | None) -> dict[str, Any] | None:
        """
        The settings' servers and those of the creation.

        Told with the settings, not with the creation, because a later start would lack them and
        because the nested server logs the creation's body, which can hold keys of these servers.
        """
        created = (self.first or {}).get("mcp_config")
        if not created:
            return None
        both = (standing or {}, created)
        return {kind: _union(document.get(kind) or [] for document in both) for kind in _MCP_KINDS}

    def creation_body(self) -> dict[str, Any]:
        """The body of POST /api/conversations."""
        first = self.first or {}
        return {
            "conversation_id": self.sid,
            "image_urls": list(first.get("image_urls") or []),
            **{name: first.get(name) for name in _TEXTS},
            "replay_json": _trim_replay(first.get("replay_json")),
        }


def _union(lists: Iterator[list[Any]]) -> list[Any]:
    union: list[Any] = []
    for servers in lists:
        union += [server for server in servers if server not in union]
    return union


def _check_sid(sid: str) -> None:
    """As OpenHands' validate_conversation_id does, and what no URL path can carry."""
    hostile = ".." in sid or "/" in sid or "\\" in sid or any(ord(letter) < 32 for letter in sid)
    if not sid or sid == "." or len(sid) > MAX_SID or hostile or not _is_text(sid):
        raise Undeliverable("OpenHands does not take this session id")


def _is_text(value: str) -> bool:
    return not any(0xD800 <= ord(letter) <= 0xDFFF for letter in value)


def _check_first(first: Document) -> None:
    for name in _TEXTS:
        if not isinstance(first.get(name), str | None):
            raise Undeliverable(f"first: {name} is not a string")
    images = first.get("image_urls") or []
    if not isinstance(images, list) or not all(isinstance(url, str) for url in images):
        raise Undeliverable("first: image_urls is not a list of strings")
    if first.get("mcp_config") is not None:
        _check_mcp(first["mcp_config"], "first")
    if first.get("replay_json"):
        if first.get("initial_user_msg") or images:
            raise Undeliverable(
                "first: it holds a message and a replay; OpenHands takes one of them"
            )
        _check_replay(first["replay_json"])


def _check_replay(text: str) -> None:
    try:
        events = json.loads(text)
    except (ValueError, RecursionError):
        events = None
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise Undeliverable("first: the replay is not a JSON list of events")
    if not any(map(_is_message, events)):
        raise Undeliverable("first: there is no message in the replay")


def _trim_replay(text: str | None) -> str | None:
    """
    From the first message on.

    OpenHands wants it to begin so, and fails silently over the trajectories that it exports itself,
    which begin with its system prompt.
    """
    if not text:
        return None
    events = json.loads(text)
    return json.dumps(events[next(n for n, event in enumerate(events) if _is_message(event)) :])


def _is_message(event: Document) -> bool:
    return event.get("action") == "message" and event.get("source") != "environment"


def _check_mcp(config: Any, where: str) -> None:
    if not isinstance(config, Mapping) or not all(
        isinstance(config.get(kind) or [], list) for kind in _MCP_KINDS
    ):
        raise Undeliverable(f"{where}: mcp_config is not lists of servers")


def _check_settings(document: Document) -> None:
    settings = document.get("settings")
    if not isinstance(settings, Mapping | None):
        raise Undeliverable("settings: `settings` is not an object")
    if (settings or {}).get("mcp_config") is not None:
        _check_mcp((settings or {})["mcp_config"], "settings")
    tokens = document.get("provider_tokens")
    if not isinstance(tokens, Mapping | None) or not all(
        isinstance(token, Mapping) for token in (tokens or {}).values()
    ):
        raise Undeliverable("settings: `provider_tokens` is not an object of objects")
    _check_secrets(document.get("secrets") or [])


def _check_secrets(secrets: Any) -> None:
    if not isinstance(secrets, list):
        raise Undeliverable("settings: `secrets` is not a list")
    seen: set[str] = set()
    for number, secret in enumerate(secrets, 1):
        if not isinstance(secret, Mapping) or not isinstance(secret.get("value"), str):
            raise Undeliverable(f"settings: secret {number} is not an object with a value")
        name = secret.get("name")
        # The runtime exports every secret; one bad name and no command ever runs.
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise Undeliverable(
                f"settings: the name of secret {number} cannot be that of an environment variable"
            )
        if name in seen:
            raise Undeliverable(f"settings: secret {number} has the name of an earlier one")
        seen.add(name)
