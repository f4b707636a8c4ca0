"""Several users of one installation, and what they see of each other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.e2e.openhands.house import REDIS, House
from tests.e2e.openhands.talk import TURN_SECONDS, Talk, say_hello
from tests.rig.outer import LOOK_SECONDS, Outer
from tests.rig.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

ADA, EVE = "auth0|ada", "eve@example.org"
TOO_MANY = "AGENT_ERROR$TOO_MANY_CONVERSATIONS"


async def test_a_fourth_conversation_closes_the_users_oldest(house: House, pair: Outer) -> None:
    other = await say_hello(pair, None, EVE)
    talks = [await say_hello(pair, None, ADA) for _ in range(3)]
    await asyncio.gather(*(talk.running() for talk in (*talks, other)))
    await use_later(talks[1:])
    async with emitted(house) as messages:
        talks.append(await say_hello(pair, None, ADA))
        await talks[0].becomes("STOPPED", 60)
        await eventually(lambda: _told(messages, talks[0].sid), 30, lambda: str(messages))
    await asyncio.gather(*(talk.running() for talk in (*talks[1:], other)))
    assert not any(_told(messages, talk.sid) for talk in (*talks[1:], other))
    conversation = await house.conversation(talks[0].sid)
    assert conversation is not None
    assert conversation["spec"]["mode"] == "Paused"
    assert conversation["spec"]["user"] == ADA
    await asyncio.gather(*(talk.delete() for talk in (*talks, other)))
    await eventually(lambda: _all_gone(house, [*talks, other]), 60, "all Conversations to go")


async def use_later(talks: list[Talk]) -> None:
    """Say something in each, so that none of them is the one that was left alone the longest."""
    before = {talk.sid: (await talk.info())["last_updated_at"] for talk in talks}
    for talk in talks:
        await talk.say("Anything new?")

    async def noticed() -> bool:
        await asyncio.sleep(LOOK_SECONDS)
        return all([(await each.info())["last_updated_at"] > before[each.sid] for each in talks])

    await eventually(noticed, TURN_SECONDS, "the time of their last use to be known")


@asynccontextmanager
async def emitted(house: House) -> AsyncIterator[list[str]]:
    """What the outer servers tell each other to emit, as Redis has it, while this is open."""
    reader, writer = await asyncio.open_connection(await house.address(REDIS), 6379)
    writer.write(b"SUBSCRIBE socketio\r\n")
    await reader.readuntil(b":1\r\n")
    messages: list[str] = []

    async def read() -> None:
        while line := await reader.readline():
            messages.append(line.decode(errors="replace"))

    reading = asyncio.create_task(read())
    try:
        yield messages
    finally:
        reading.cancel()
        writer.close()


def _told(messages: list[str], sid: str) -> bool:
    return any(TOO_MANY in message and f"room:{sid}" in message for message in messages)


async def _all_gone(house: House, talks: list[Talk]) -> bool:
    return not [talk for talk in talks if await house.conversation(talk.sid)]
