"""A conversation's whole life, through the outer server's HTTP API alone."""

import json
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest
import pytest_asyncio

from tests.e2e.openhands.house import CLI, LOCAL, House
from tests.e2e.openhands.talk import Talk, please_run, say_hello
from tests.rig.api import Manifest
from tests.rig.outer import Outer
from tests.rig.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

NAME = "größe & co #1.txt"
GONE_SECONDS = 60
ORDER = please_run(
    "git init -q; printf 'by the agent' > agent.txt; printf %s \"$GREETING\" | sha256sum"
)


@pytest.fixture(params=[("alone", LOCAL), ("pair", CLI)], ids=["alone-local", "pair-cli"])
def wanted(request: pytest.FixtureRequest) -> tuple[Outer, str]:
    name, sample = request.param
    return request.getfixturevalue(name), sample


@pytest_asyncio.fixture(loop_scope="session")
async def outer(house: House, wanted: tuple[Outer, str]) -> AsyncIterator[Outer]:
    """One server on a volume, or two on S3 and Redis: the user cannot tell."""
    outer, sample = wanted
    await house.change_runtimes(outer, sample)
    yield outer
    await house.change_runtimes(outer, CLI)


async def test_s1_from_the_first_word_to_the_last_trace(house: House, outer: Outer) -> None:
    talk = await say_hello(outer, f"Please greet me.\n{ORDER}")
    info = await talk.running()
    assert info["url"].endswith(f"/api/conversations/{talk.sid}")
    conversation = await house.conversation(talk.sid)
    assert conversation is not None
    kinds = {each.split()[0] for each in await house.belongings(conversation)}
    assert kinds == {"Pod", "Secret", "PersistentVolumeClaim", "volume"}

    await upload_and_select(talk)
    # The secret's value itself is masked in events.
    await talk.history_has(sha256(house.words.secret.encode()).hexdigest())
    assert "agent.txt" in await talk.list_files()
    assert (await talk.select("agent.txt")).rstrip("\n") == "by the agent"
    await git_shows_the_work(talk)
    await history_is_told(talk)
    await house.check_no_secret_is_seen(outer)

    await stopped_keeps_history(house, talk)
    assert (await talk.start())["conversation_status"] == "STARTING"
    await talk.running()
    assert {"agent.txt", NAME} <= set(await talk.list_files())
    assert (await talk.select(NAME)).rstrip("\n") == "by the user"
    assert await talk.said("Please greet me.") == 1

    await talk.delete()
    await nothing_is_left(house, talk, conversation)


async def upload_and_select(talk: Talk) -> None:
    uploaded = await talk.upload({NAME: b"by the user", "empty": b""})
    assert [path.rpartition("/")[2] for path in uploaded["uploaded_files"]] == [NAME, "empty"]
    assert uploaded["skipped_files"] == []
    assert {NAME, "empty"} <= set(await talk.list_files())
    assert (await talk.select(NAME)).rstrip("\n") == "by the user"
    assert (await talk.select("empty")).rstrip("\n") == ""


async def git_shows_the_work(talk: Talk) -> None:
    changes = await talk.call("GET", "/git/changes")
    assert {"status": "A", "path": "agent.txt"} in changes
    diff = await talk.call("GET", "/git/diff?path=agent.txt")
    assert (diff["original"], diff["modified"]) == ("", "by the agent")


async def history_is_told(talk: Talk) -> None:
    events = await talk.events()
    assert [event["id"] for event in events] == sorted({event["id"] for event in events})
    assert await talk.said("Please greet me.") == 1
    trajectory = (await talk.call("GET", "/trajectory"))["trajectory"]
    info = await talk.info()
    assert info["last_updated_at"] and info["created_at"], "what lists are sorted by"
    commands = [event["args"]["command"] for event in trajectory if event.get("action") == "run"]
    assert any("agent.txt" in command for command in commands)


async def stopped_keeps_history(house: House, talk: Talk) -> None:
    known = len(await talk.events())
    await talk.stop()
    for refused in ("/list-files", "/select-file?file=agent.txt"):
        answer = await talk.call("GET", refused, expect=404)
        assert talk.sid in json.dumps(answer)
    assert (await talk.info())["status"] == "STOPPED"
    assert len(await talk.events()) >= known
    assert await talk.said("Please greet me.") == 1
    conversation = await house.conversation(talk.sid)
    assert conversation is not None
    assert conversation["spec"]["mode"] == "Paused"
    await eventually(lambda: _no_pod(house, conversation), GONE_SECONDS, "the pod to go")


async def _no_pod(house: House, conversation: Manifest) -> bool:
    return not [each for each in await house.belongings(conversation) if each.startswith("Pod")]


async def nothing_is_left(house: House, talk: Talk, conversation: Manifest) -> None:
    left: list[str] = []

    async def gone() -> bool:
        left[:] = await house.belongings(conversation)
        return await house.conversation(talk.sid) is None and not left

    await eventually(gone, GONE_SECONDS, lambda: f"{left} to go")
    assert await talk.info() is None
    stored = [name for name in await house.stored(talk.outer) if talk.sid in name]
    assert not stored
