"""
What kopf's own watch of the Conversations costs: an `on.event` handler that does nothing.

    python -m bench.kopf_watch NAMESPACE COUNT

Ends when COUNT objects were seen.  The evidence for watching them with our reflector instead.
"""

import asyncio
import logging
import sys
import time
from typing import Any

import kopf

from bench.usage import report
from conversations.api.group import CONVERSATIONS, GROUP, VERSION


async def watch(namespace: str, count: int) -> None:
    registry = kopf.OperatorRegistry()
    stop = asyncio.Event()
    seen: set[str] = set()

    @kopf.on.startup(registry=registry)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.peering.standalone = True
        settings.posting.enabled = False
        settings.scanning.disabled = True

    kopf.on.login(registry=registry)(kopf.login_via_async_client)

    @kopf.on.event(GROUP, VERSION, CONVERSATIONS, registry=registry)
    async def changed(name: str, **_: Any) -> None:
        seen.add(name)
        if len(seen) >= count and not stop.is_set():
            report(BEGAN)
            stop.set()

    await kopf.operator(registry=registry, namespaces=[namespace], stop_flag=stop)


if __name__ == "__main__":
    BEGAN = time.monotonic()
    logging.disable(logging.WARNING)
    asyncio.run(watch(sys.argv[1], int(sys.argv[2])))
