"""What applications import, and what that pulls in."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import conversations.client as client
from conversations.client.conversations import build_spec
from conversations.client.lifecycle import check_same
from conversations.client.watched import decode
from conversations.core import errors
from conversations.core.errors import InvalidRequest, SessionConflict


def test_all_is_sorted_and_complete() -> None:
    assert sorted(client.__all__, key=lambda n: (not n.isupper(), n)) == client.__all__
    assert {name for name in client.__all__ if not hasattr(client, name)} == set()
    raised = {
        name
        for name, member in vars(errors).items()
        if inspect.isclass(member) and issubclass(member, errors.ConversationError)
    }
    assert raised - set(client.__all__) == set()


def test_everything_public_is_documented() -> None:
    for name, member in vars(client.Conversations).items():
        if not name.startswith("_") and callable(member):
            assert member.__doc__, name


def test_the_client_needs_neither_kopf_nor_openhands(repository: Path) -> None:
    program = (
        "import conversations.client, sys; "
        "print({m.split('.')[0] for m in sys.modules} & {'kopf', 'openhands', 'prometheus_client'})"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(repository / "operator")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == "set()\n"


def test_what_is_not_asked_for_is_not_in_the_spec() -> None:
    nothing = build_spec("s", user=None, template="default", image=None, env={})
    assert nothing == {"sessionID": "s", "template": "default"}
    assert build_spec("s", user="u", template="t", image="i", env={"A": "$B"}) == {
        "sessionID": "s",
        "template": "t",
        "user": "u",
        "image": "i",
        "env": [{"name": "A", "value": "$B"}],
    }
    with pytest.raises(InvalidRequest):
        build_spec("s", user=None, template="t", image=None, env={"A": "\ud800"})


async def test_a_client_that_is_not_open_says_so() -> None:
    conversations = client.Conversations()
    with pytest.raises(RuntimeError, match="async with"):
        await conversations.list()
    await conversations.aclose()


@pytest.mark.parametrize("wrong", [{"access": "portforward"}, {"workspace": "project"}])
def test_arguments_are_checked_before_anything_is_opened(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=next(iter(wrong))):
        client.Conversations(**wrong)


@pytest.mark.parametrize(
    ("spec", "differs"),
    [
        ({"user": "ada"}, None),
        ({"user": "ada", "image": "other"}, None),
        ({}, "user"),
        ({"user": "eve"}, "user"),
        ({"user": "ada", "template": "big"}, "template"),
        ({"user": "ada", "sessionID": "t"}, "session id"),
    ],
)
def test_whose_conversation_it_is(spec: dict[str, str], differs: str | None) -> None:
    existing = decode(b'{"metadata": {"name": "s"}, "spec": {"user": "ada"}}')
    session_id = spec.pop("sessionID", "s")
    wanted = {"template": "default", **spec}
    if differs is None:
        check_same(existing, session_id, wanted)
        return
    with pytest.raises(SessionConflict, match=f"another {differs}"):
        check_same(existing, session_id, wanted)


def test_words_of_a_newer_operator_do_not_stop_the_watch() -> None:
    payload = (
        b'{"metadata": {"name": "s", "newField": 1}, "spec": {"newField": {}}, "status": '
        b'{"conditions": [{"type": "New", "status": "True", "reason": "NewReason", "message": "", '
        b'"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}]}}'
    )
    model = decode(payload).model
    assert model.session_id == "s"
    assert model.status.conditions[0].reason == "NewReason"
