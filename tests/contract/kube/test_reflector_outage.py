"""For how long the API server has been out of reach: what readiness is made of."""

import asyncio
import time

from conversations.cluster.connection import Connection
from tests.contract.kube.test_reflector import reflecting, until
from tests.small_api.server import Server


async def test_an_outage_begins_when_the_watch_ends_not_when_it_began(
    small_api: Server, connection: Connection
) -> None:
    async with reflecting(small_api, connection) as watched:
        await asyncio.sleep(0.5)
        cut = time.monotonic()
        small_api.hang.clear()
        small_api.cut()
        await until(lambda: watched.reflector.failing_since is not None)
        began = watched.reflector.failing_since
        assert began is not None and began >= cut
        small_api.hang.set()
        await until(lambda: watched.reflector.failing_since is None)


async def test_an_outage_goes_on_while_trying_again_fails(
    small_api: Server, connection: Connection
) -> None:
    async with reflecting(small_api, connection) as watched:
        small_api.answers = [(503, "ServiceUnavailable")] * 5
        small_api.cut()
        await until(lambda: watched.reflector.failing_since is not None)
        began = watched.reflector.failing_since
        await until(lambda: len(small_api.answers) < 2)
        assert watched.reflector.failing_since == began
        await until(lambda: watched.reflector.failing_since is None)
