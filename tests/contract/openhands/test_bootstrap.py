"""Everything that was declared arrives in the real nested server, once, whatever happens meanwhile."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from conversations.api.reasons import Reason
from conversations.core.attempt import Outcome
from conversations.core.declared import Declared
from conversations.core.errors import RuntimeUnavailable
from conversations.core.nested import Step
from conversations.runtime.openhands_v0 import OpenHandsV0
from conversations.runtime.v0_bootstrap import configure
from tests.contract.openhands.conftest import Llm, events_of, finished, messages_of
from tests.contract.openhands.server import OpenHandsProcess

# The first one unpacks the image.
pytestmark = pytest.mark.timeout(300)

CONFIGURED = Outcome(configured=True, told=True)


class Cut(Exception):
    """The bootstrap's process ended here."""


def cut_before(number: int) -> Callable[[str], None]:
    """A report that ends the bootstrap at its n-th piece of news."""
    heard: list[str] = []

    def report(news: str) -> None:
        heard.append(news)
        if len(heard) > number:
            raise Cut

    return report


def secret(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value, "description": f"about {name}"}


async def test_a_conversation_gets_all_that_was_declared(
    client: OpenHandsV0, nested: OpenHandsProcess, llm: Llm
) -> None:
    image = "data:image/png;base64,iVBORw0KGgo="
    first = {
        "initial_user_msg": "write told.txt: as declared",
        "image_urls": [image],
        "conversation_instructions": "Speak like a pirate.",
        "mcp_config": {
            "sse_servers": [{"url": "http://127.0.0.1:9/created", "api_key": "k-created"}]
        },
    }
    mcp = {"sse_servers": [{"url": "http://127.0.0.1:9/standing", "api_key": "k-standing"}]}
    settings = {
        "settings": llm.settings(mcp_config=mcp),
        "secrets": [secret("DEPLOY_TOKEN", "value-of-deploy-token")],
    }
    assert await configure(client, Declared("declared", first, settings)) == CONFIGURED

    events = await finished(client, "declared")
    (message,) = await messages_of(client, "declared")
    assert message["args"]["content"] == "write told.txt: as declared"
    assert message["args"]["image_urls"] == [image]
    (recalled,) = [event for event in events if event.get("observation") == "recall"]
    assert recalled["extras"]["conversation_instructions"] == "Speak like a pirate."
    assert recalled["extras"]["custom_secrets_descriptions"] == {
        "DEPLOY_TOKEN": "about DEPLOY_TOKEN"
    }
    stored = json.loads((nested.file_store / "settings.json").read_text())
    servers = [server["url"] for server in stored["mcp_config"]["sse_servers"]]
    assert servers == ["http://127.0.0.1:9/standing", "http://127.0.0.1:9/created"]
    log = nested.log.read_text()
    for key in ("k-created", "k-standing", "value-of-deploy-token", nested.key):
        assert key not in log


async def test_a_replay_is_played(client: OpenHandsV0, llm: Llm) -> None:
    await configure(client, Declared("played", {"initial_user_msg": "hello"}, told(llm)))
    trajectory = await finished(client, "played")
    replay = {"replay_json": json.dumps(trajectory)}
    asked = len(llm.requests())
    assert await configure(client, Declared("replayed", replay, told(llm))) == CONFIGURED
    await finished(client, "replayed")
    (message,) = await messages_of(client, "replayed")
    assert message["args"]["content"] == "hello"
    assert not [body for body in llm.requests()[asked:] if body.get("tools")]


def told(llm: Llm, **more: Any) -> dict[str, Any]:
    return {"settings": llm.settings(), **more}


async def test_cut_short_at_every_point(
    client: OpenHandsV0, nested: OpenHandsProcess, llm: Llm
) -> None:
    """Before every request, and before every look that follows it."""
    first = {"initial_user_msg": "hello"}
    for number in range(40):
        sid = f"cut-{number}"
        old = told(llm, secrets=[secret("A", "old-of-a"), secret("B", "old-of-b")])
        new = told(llm, secrets=[secret("A", f"new-of-a-{number}"), secret("C", "new-of-c")])
        try:
            await configure(client, Declared(sid, first, old), report=cut_before(number))
            break
        except Cut:
            outcome = await configure(client, Declared(sid, first, new))
        assert outcome.configured
        assert len(await messages_of(client, sid)) == 1
        stored = json.loads((nested.file_store / "secrets.json").read_text())["custom_secrets"]
        secrets = {name: kept["secret"] for name, kept in stored.items()}
        if outcome.told:
            assert secrets == {"A": f"new-of-a-{number}", "C": "new-of-c"}
        else:
            assert secrets == {"A": "old-of-a", "B": "old-of-b"}
    assert number > 6


async def test_several_at_once(client: OpenHandsV0, nested: OpenHandsProcess, llm: Llm) -> None:
    secrets = [secret(f"S{n}", f"value-of-{n}") for n in range(3)]
    declared = Declared("several", {"initial_user_msg": "hello"}, told(llm, secrets=secrets))
    outcomes = await asyncio.gather(*(configure(client, declared) for _ in range(3)))
    assert outcomes == [CONFIGURED] * 3
    assert len(await messages_of(client, "several")) == 1
    (recalled,) = [
        event for event in await finished(client, "several") if event.get("observation") == "recall"
    ]
    assert set(recalled["extras"]["custom_secrets_descriptions"]) == {"S0", "S1", "S2"}


async def test_a_rejected_token(client: OpenHandsV0, llm: Llm) -> None:
    settings = told(llm, provider_tokens={"github": {"token": "ghp_wrong", "host": None}})
    first = {"initial_user_msg": "hello"}
    started = time.monotonic()
    refused = await configure(client, Declared("token", first, settings))
    assert time.monotonic() - started < 60
    assert not refused.configured and refused.finding is not None
    assert refused.finding.reason == Reason.PROVIDERS_REJECTED
    assert await client.get_conversation("token") is None

    later = Declared("token", first, settings, configured_before=True)
    outcome = await configure(client, later)
    assert outcome.configured and outcome.finding is not None
    assert outcome.finding.reason == Reason.PROVIDERS_REJECTED
    assert len(await messages_of(client, "token")) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"llm_api_key": None},
            "creation: the nested server answered 400: the settings have no API key for the model.",
        ),
        ({"max_iterations": "hush"}, "settings: the nested server answered 422."),
    ],
)
async def test_settings_that_it_refuses(
    client: OpenHandsV0, llm: Llm, settings: dict[str, Any], message: str
) -> None:
    document = {"settings": llm.settings(**settings)}
    outcome = await configure(client, Declared("refused", {}, document))
    assert not outcome.configured and outcome.finding is not None
    assert outcome.finding == (Reason.CONFIGURATION_REJECTED, message)


async def test_a_repository_out_of_reach(client: OpenHandsV0, llm: Llm) -> None:
    first = {"repository": "owner/name", "git_provider": "github"}
    outcome = await configure(client, Declared("far", first, told(llm)))
    assert not outcome.configured and outcome.finding is not None
    assert outcome.finding.message.startswith("creation: the nested server answered 401: the repo")


@pytest.mark.parametrize("sid", ["größe & co #1", "A" * 100, "%2e%2e", "a?b=c"])
async def test_session_ids_of_any_letters(client: OpenHandsV0, llm: Llm, sid: str) -> None:
    assert (
        await configure(client, Declared(sid, {"initial_user_msg": "hello"}, told(llm)))
        == CONFIGURED
    )
    assert len(await messages_of(client, sid)) == 1


async def test_a_conversation_without_a_message(client: OpenHandsV0, llm: Llm) -> None:
    assert await configure(client, Declared("silent", None, told(llm))) == CONFIGURED
    assert await messages_of(client, "silent") == []
    last = (await events_of(client, "silent"))[-1]
    assert last["extras"]["agent_state"] == "awaiting_user_input"
    await client.post_event("silent", {"action": "message", "args": {"content": "hello"}})
    await finished(client, "silent")
    await client.stop("silent")
    stopped = await client.get_conversation("silent")
    assert stopped is not None and stopped["status"] == "STOPPED"


async def test_a_set_up_script_is_waited_for(
    client: OpenHandsV0, nested: OpenHandsProcess, llm: Llm
) -> None:
    script = nested.home / "project" / ".openhands" / "setup.sh"
    script.parent.mkdir()
    script.write_text("sleep 3; touch set-up\n")
    try:
        started = time.monotonic()
        assert await configure(client, Declared("set-up", {}, told(llm))) == CONFIGURED
        assert time.monotonic() - started > 3
        assert (nested.home / "project" / "set-up").exists()
        # By this the bootstrap knows that it has to be patient.
        events = await events_of(client, "set-up")
        assert ("environment", "run") in [(e.get("source"), e.get("action")) for e in events]
    finally:
        script.unlink()


async def test_killed_at_points(nested: OpenHandsProcess, llm: Llm) -> None:
    """The container dies as the creation was answered, and again when all is well."""
    declared = Declared(
        "killed", {"initial_user_msg": "hello"}, told(llm, secrets=[secret("A", "value-of-a")])
    )
    async with nested.client() as client:
        try:
            with pytest.raises(RuntimeUnavailable):
                await configure(client, declared, report=kill_after(Step.CREATE, nested))
        finally:
            await nested.restart()
        assert await configure(client, declared) == CONFIGURED
        await finished(client, "killed")
        await nested.restart()
        assert not (nested.file_store / "settings.json").exists()
        assert await configure(client, declared) == CONFIGURED
        assert len(await messages_of(client, "killed")) == 1
        await client.post_event("killed", {"action": "message", "args": {"content": "again"}})
        assert len(await messages_of(client, "killed")) == 2


def kill_after(step: Step, server: OpenHandsProcess) -> Callable[[str], None]:
    heard: list[str] = []

    def report(news: str) -> None:
        if heard and heard[-1] == step:
            server.kill()
        heard.append(news)

    return report
