"""What a nested server is told.  OpenHands' own classes are held to it in tests/openhands."""

import json
from enum import Enum
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, SerializationInfo, field_serializer

from conversations.core.errors import InvalidRequest
from conversations.openhands.v0.documents import (
    Order,
    build_first,
    build_settings,
    dump_mcp_config,
)


class Provider(Enum):
    GITHUB = "github"
    GITLAB = "gitlab"


class McpConfig(BaseModel):
    urls: list[str] = []
    timeout: int | None = None


class InitData(BaseModel):
    """The fields of OpenHands' ConversationInitData that matter, serialised as there."""

    llm_model: str | None = "m"
    llm_api_key: SecretStr | None = SecretStr("llm-key")
    llm_base_url: str | None = None
    sandbox_api_key: SecretStr | None = SecretStr("sandbox-key")
    mcp_config: McpConfig | None = None
    git_provider_tokens: Any = None
    custom_secrets: Any = None
    selected_repository: str | None = None
    selected_branch: str | None = None
    conversation_instructions: str | None = None
    git_provider: Provider | None = None
    replay_json: str | None = None

    @field_serializer("llm_api_key")
    def show_key(self, key: SecretStr | None, info: SerializationInfo) -> str | None:
        exposed = info.context and info.context.get("expose_secrets")
        return key.get_secret_value() if key and exposed else str(key)


def a_token(text: str | None) -> Any:
    return SimpleNamespace(token=text and SecretStr(text), user_id="ada", host=None)


def a_secret(value: str, description: str) -> Any:
    return SimpleNamespace(secret=SecretStr(value), description=description)


def test_settings_hold_plain_keys_and_nothing_of_other_documents() -> None:
    told = build_settings(InitData(selected_repository="a/b", conversation_instructions="x"))
    assert told == {
        "settings": {"llm_model": "m", "llm_api_key": "llm-key"},
        "provider_tokens": {},
        "secrets": [],
    }


def test_tokens_and_secrets() -> None:
    tokens = {Provider.GITHUB: a_token("t"), Provider.GITLAB: a_token(None)}
    secrets = {"B": a_secret("2", "two"), "A": a_secret("1", "one")}
    told = build_settings(
        InitData(
            git_provider_tokens=MappingProxyType(tokens), custom_secrets=MappingProxyType(secrets)
        )
    )
    assert told["provider_tokens"] == {"github": {"token": "t", "user_id": "ada", "host": None}}
    # Sorted: another order of the same secrets is no change of settings.
    assert told["secrets"] == [
        {"name": "A", "description": "one", "value": "1"},
        {"name": "B", "description": "two", "value": "2"},
    ]
    json.dumps(told)


def test_a_start_without_a_repository_brings_the_same_settings() -> None:
    created = InitData(selected_repository="a/b", git_provider=Provider.GITHUB)
    assert build_settings(created) == build_settings(InitData())


def test_first() -> None:
    message = SimpleNamespace(content="hello", image_urls=["data:image/png;base64,AA"])
    given = InitData(
        selected_repository="a/b",
        selected_branch="main",
        conversation_instructions="Be brief.",
        git_provider=Provider.GITHUB,
    )
    assert build_first(Order("s", None, given, message), {"urls": ["u"]}) == {
        "initial_user_msg": "hello",
        "image_urls": ["data:image/png;base64,AA"],
        "replay_json": None,
        "conversation_instructions": "Be brief.",
        "repository": "a/b",
        "selected_branch": "main",
        "git_provider": "github",
        "mcp_config": {"urls": ["u"]},
    }


def test_a_start_says_nothing() -> None:
    first = build_first(Order("s", None, InitData()), None)
    assert {value for value in first.values() if value != []} == {None}
    assert first["image_urls"] == []


def test_images_may_come_without_words() -> None:
    message = SimpleNamespace(content="", image_urls=["u"])
    first = build_first(Order("s", None, InitData(), message), None)
    assert (first["initial_user_msg"], first["image_urls"]) == (None, ["u"])


def test_a_message_and_a_replay_exclude_each_other() -> None:
    message = SimpleNamespace(content="hello", image_urls=None)
    with pytest.raises(InvalidRequest, match="not with both"):
        build_first(Order("s", None, InitData(), message, "[]"), None)


def test_an_order_shows_nothing_secret() -> None:
    message = SimpleNamespace(content="private words", image_urls=None)
    shown = repr(Order("s", "ada", InitData(), message, "replayed words"))
    assert "key" not in shown
    assert "words" not in shown


def test_mcp_config() -> None:
    assert dump_mcp_config(None) is None
    assert dump_mcp_config(InitData()) is None
    given = InitData(mcp_config=McpConfig(urls=["u"]))
    assert dump_mcp_config(given) == {"urls": ["u"]}
    assert dump_mcp_config(given) == build_settings(given)["settings"]["mcp_config"]
