"""
What can go wrong between an operator and the API server.

A fault strikes once, at the n-th write that counts (or the n-th event of a watch), before or
after the API server has seen it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

Moment = Literal["before", "after"]
Effect = Callable[[], Awaitable[web.Response | None]]
"""Answers in the API server's place, raises Dropped, or lets things go on (None)."""


class Dropped(Exception):
    """The connection to the operator is cut without an answer."""


@dataclass
class WriteFault:
    """Strikes at write number `at`, counted from 1 since it was armed."""

    at: int
    moment: Moment
    effect: Effect
    struck: bool = False

    async def strike(self, number: int, moment: Moment) -> web.Response | None:
        if self.struck or number != self.at or moment != self.moment:
            return None
        self.struck = True
        return await self.effect()


@dataclass
class EventFault:
    """Strikes instead of delivering watch event number `at`, counted from 1 since it was armed."""

    at: int
    effect: Effect
    seen: int = 0
    struck: bool = False

    async def strike(self) -> None:
        self.seen += 1
        if not self.struck and self.seen == self.at:
            self.struck = True
            await self.effect()


def kill(process_kill: Callable[[], None]) -> Effect:
    """The operator dies of SIGKILL: what it has not sent is never sent, what comes back is unread."""

    async def effect() -> web.Response | None:
        process_kill()
        raise Dropped

    return effect


async def lose_reply() -> web.Response | None:
    """The write may be committed; whoever sent it will not know."""
    raise Dropped


async def hang() -> web.Response | None:
    """No answer, and the connection stays open until somebody gives up."""
    await asyncio.Event().wait()
    return None


def answer(status: int, reason: str, **headers: str) -> Effect:
    """The API server says no, as it would say it."""

    async def effect() -> web.Response | None:
        body = {
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "reason": reason,
            "message": f"the test answers {status} {reason}",
            "code": status,
        }
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(
            status=status, text=json.dumps(body), content_type="application/json", headers=named
        )

    return effect
