"""What can be declared for a nested server, and how it is told."""

import json
from typing import Any

import pytest

from conversations.core.declared import Declared, Undeliverable

REPLAY = json.dumps([{"source": "environment"}, {"source": "user", "action": "message"}])


@pytest.mark.parametrize("sid", ["abc", "A" * 100, "größe & co", "0 1"])
def test_takes_the_session_ids_that_openhands_takes(sid: str) -> None:
    Declared(sid).check()


@pytest.mark.parametrize(
    "sid", ["", ".", "..", "a..b", "a/b", "a\\b", "a\nb", "\x00", "A" * 101, "\ud800"]
)
def test_refuses_other_session_ids(sid: str) -> None:
    with pytest.raises(Undeliverable, match="does not take this session id"):
        Declared(sid).check()


@pytest.mark.parametrize(
    ("first", "complaint"),
    [
        ({"initial_user_msg": 1}, "initial_user_msg is not a string"),
        ({"image_urls": "data:"}, "image_urls is not a list of strings"),
        ({"image_urls": [1]}, "image_urls is not a list of strings"),
        ({"mcp_config": []}, "mcp_config is not lists of servers"),
        ({"mcp_config": {"sse_servers": 1}}, "mcp_config is not lists of servers"),
        ({"replay_json": REPLAY, "initial_user_msg": "hi"}, "a message and a replay"),
        ({"replay_json": "{"}, "not a JSON list"),
        ({"replay_json": "[" * 100_000}, "not a JSON list"),
        ({"replay_json": "[]"}, "there is no message in the replay"),
        ({"replay_json": '[{"action": "run"}]'}, "there is no message in the replay"),
    ],
)
def test_refuses_what_cannot_start_a_conversation(first: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Undeliverable, match=complaint):
        Declared("abc", first).check()


def secret(name: Any, value: Any = "v") -> dict[str, Any]:
    return {"name": name, "value": value, "description": None}


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"settings": []}, "`settings` is not an object"),
        ({"settings": {"mcp_config": 1}}, "mcp_config is not lists of servers"),
        ({"provider_tokens": {"github": "t"}}, "not an object of objects"),
        ({"secrets": {"A": "v"}}, "`secrets` is not a list"),
        ({"secrets": [secret("A"), secret("B"), secret("A")]}, "secret 3 has the name of"),
        ({"secrets": [secret("a/b")]}, "name of secret 1"),
        ({"secrets": [secret("")]}, "name of secret 1"),
        ({"secrets": [secret("Ä")]}, "name of secret 1"),
        ({"secrets": [secret("A", None)]}, "secret 1 is not an object with a value"),
    ],
)
def test_refuses_settings_that_no_server_takes(document: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Undeliverable, match=complaint):
        Declared("abc", None, document).check()


def test_no_complaint_and_no_repr_has_a_value() -> None:
    document = {"secrets": [secret("A", "hush-hush")], "settings": {"llm_api_key": "hush-hush"}}
    assert "hush" not in repr(Declared("abc", {"initial_user_msg": "hush"}, document))


def test_the_creation_has_exactly_the_keys_that_openhands_takes() -> None:
    first = {"initial_user_msg": "hi", "image_urls": ["u"], "mcp_config": {"sse_servers": []}}
    assert Declared("abc", first).creation_body() == {
        "conversation_id": "abc",
        "initial_user_msg": "hi",
        "image_urls": ["u"],
        "replay_json": None,
        "conversation_instructions": None,
        "repository": None,
        "selected_branch": None,
        "git_provider": None,
    }


def test_a_replay_is_told_from_its_first_message_on() -> None:
    """OpenHands cannot play the trajectories that it exports: they begin with its system prompt."""
    message, answer = (
        {"source": "user", "action": "message"},
        {"source": "agent", "action": "finish"},
    )
    exported = [{"source": "agent", "action": "system"}, message, answer]
    told = Declared("abc", {"replay_json": json.dumps(exported)}).creation_body()
    assert json.loads(told["replay_json"]) == [message, answer]


def test_the_creations_mcp_servers_are_told_with_the_settings() -> None:
    """Or a later start would lack them, and the creation's body would be logged with their keys."""
    shared, own, created = {"url": "http://s"}, {"url": "http://o"}, {"url": "http://c"}
    declared = Declared(
        "abc",
        {"mcp_config": {"sse_servers": [shared, created]}},
        {
            "settings": {
                "mcp_config": {"sse_servers": [own, shared], "stdio_servers": [{"name": "x"}]}
            }
        },
    )
    assert declared.settings_body(replacing=False)["mcp_config"] == {
        "sse_servers": [own, shared, created],
        "stdio_servers": [{"name": "x"}],
        "shttp_servers": [],
    }


def test_what_is_not_set_is_cleared() -> None:
    body = Declared("abc", None, {"settings": {"llm_model": "m"}}).settings_body(replacing=True)
    assert (body["llm_api_key"], body["search_api_key"], body["llm_base_url"]) == (" ", " ", "")
    fresh = Declared("abc", None, {"settings": {"llm_model": "m"}}).settings_body(replacing=False)
    assert "llm_base_url" not in fresh


def test_the_fingerprint_is_of_all_that_is_told_with_the_settings() -> None:
    declared = [
        Declared("abc", None, {"settings": {}}),
        Declared("abc", {"mcp_config": {"sse_servers": [{"url": "u"}]}}, {"settings": {}}),
        Declared("abc", None, {"settings": {}, "secrets": [secret("A", "1")]}),
        Declared("abc", None, {"settings": {}, "secrets": [secret("A", "2")]}),
    ]
    fingerprints = {one.fingerprint for one in declared}
    assert len(fingerprints) == len(declared)
    assert all(0 <= fingerprint < 2**53 for fingerprint in fingerprints)
    same = Declared("other", {"initial_user_msg": "hi"}, {"settings": {}})
    assert same.fingerprint == declared[0].fingerprint
