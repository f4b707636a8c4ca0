"""
What our reflector's watch of the Conversations costs, to compare with bench.kopf_watch.

    python -m bench.reflector_watch NAMESPACE COUNT
"""

import asyncio
import sys
import time

from bench.usage import report
from conversations.cluster import paths
from conversations.cluster.connection import Connection
from conversations.cluster.reflector import Reflector
from conversations.core.observed import Conversation


async def watch(namespace: str, count: int) -> None:
    async with await Connection.open() as connection:
        reflector = Reflector(connection, paths.conversations(namespace), Conversation)
        task = asyncio.create_task(reflector.run())
        await reflector.synced.wait()
        assert len(reflector.objects) >= count, "there are fewer conversations than that"
        report(BEGAN)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


if __name__ == "__main__":
    BEGAN = time.monotonic()
    asyncio.run(watch(sys.argv[1], int(sys.argv[2])))
