"""Asking a manager what is so, with a deadline."""

from typing import Any

from openhands.storage.data_models.conversation_status import ConversationStatus

from tests.openhands.rig.outer import Outer
from tests.rig.waiting import eventually

SECONDS = 30.0


async def info_of(outer: Outer, sid: str) -> Any:
    """Its AgentLoopInfo, or None where the manager lists none."""
    found = await outer.manager.get_agent_loop_info(filter_to_sids={sid})
    return found[0] if found else None


async def wait_status(
    outer: Outer, sid: str, status: ConversationStatus | None, seconds: float = SECONDS
) -> Any:
    """Its AgentLoopInfo once it has that status; None: once it is not listed."""
    seen: Any = None

    async def has_it() -> bool:
        nonlocal seen
        seen = await info_of(outer, sid)
        return (seen.status if seen else None) == status

    await eventually(has_it, seconds, lambda: f"{sid} {status}; {seen and seen.status}")
    return seen


async def run(
    outer: Outer, sid: str, user: str | None = None, seconds: float = SECONDS, **options: Any
) -> Any:
    """Start it and wait until it runs."""
    await outer.start(sid, user, **options)
    return await wait_status(outer, sid, ConversationStatus.RUNNING, seconds)
