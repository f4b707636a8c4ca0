"""
What a nested server is told, out of what OpenHands hands to the manager.

Pure.  OpenHands' own classes are only read, so none is imported.
"""

from dataclasses import dataclass, field
from typing import Any

from conversations.core.errors import InvalidRequest

INIT_DATA = {
    "custom_secrets",
    "git_provider",
    "git_provider_tokens",
    "conversation_instructions",
    "replay_json",
    "selected_branch",
    "selected_repository",
}
"""Fields of ConversationInitData that go another way than the settings do."""
KEPT_HERE = {"sandbox_api_key", "secrets_store", "secret_store"}
"""The key to the service that makes sandboxes is nothing that one of them should have."""


@dataclass(frozen=True)
class Order:
    """The arguments of `maybe_start_agent_loop`."""

    sid: str
    user_id: str | None
    settings: Any = field(repr=False)
    initial_user_msg: Any = field(default=None, repr=False)
    replay_json: str | None = field(default=None, repr=False)


def build_first(order: Order, mcp_config: dict[str, Any] | None) -> dict[str, Any]:
    """What starts the conversation, once; `mcp_config` if it was given for this one alone."""
    settings, message = order.settings, order.initial_user_msg
    if message is not None and order.replay_json:
        raise InvalidRequest("a conversation starts with a message or with a replay, not with both")
    return {
        "initial_user_msg": getattr(message, "content", None) or None,
        "image_urls": list(getattr(message, "image_urls", None) or []),
        "replay_json": order.replay_json,
        "conversation_instructions": getattr(settings, "conversation_instructions", None),
        "repository": getattr(settings, "selected_repository", None),
        "selected_branch": getattr(settings, "selected_branch", None),
        "git_provider": _text(getattr(settings, "git_provider", None)),
        "mcp_config": mcp_config,
    }


def build_settings(settings: Any) -> dict[str, Any]:
    """What each start of the container is told.  It holds keys and tokens in plain text."""
    return {
        "settings": settings.model_dump(
            mode="json",
            context={"expose_secrets": True},
            exclude=INIT_DATA | KEPT_HERE,
            exclude_none=True,
        ),
        "provider_tokens": _provider_tokens(getattr(settings, "git_provider_tokens", None) or {}),
        "secrets": _secrets(getattr(settings, "custom_secrets", None) or {}),
    }


def dump_mcp_config(settings: Any) -> dict[str, Any] | None:
    """The settings' MCP servers, to the letter as `build_settings` has them: equal ones are told once."""
    mcp_config = getattr(settings, "mcp_config", None)
    if mcp_config is None:
        return None
    return dict(mcp_config.model_dump(mode="json", exclude_none=True))


def _provider_tokens(tokens: Any) -> dict[str, Any]:
    return {
        _text(provider) or "": {
            "token": given.token.get_secret_value(),
            "user_id": given.user_id,
            "host": given.host,
        }
        for provider, given in tokens.items()
        if given.token
    }


def _secrets(secrets: Any) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "description": given.description,
            "value": given.secret.get_secret_value(),
        }
        for name, given in sorted(secrets.items())
    ]


def _text(member: Any) -> str | None:
    """An enum's value; OpenHands has some that are strings already."""
    return None if member is None else str(getattr(member, "value", member))
