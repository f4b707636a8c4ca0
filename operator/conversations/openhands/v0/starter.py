"""`maybe_start_agent_loop`: say what is wanted and return; the operator does the rest."""

import asyncio
from typing import Any
from weakref import WeakValueDictionary

from openhands.storage.settings.settings_store import SettingsStore
from openhands.utils.import_utils import get_impl

from conversations.client.inputs import Inputs
from conversations.client.watched import Watched
from conversations.openhands.v0.documents import (
    Order,
    build_first,
    build_settings,
    dump_mcp_config,
)
from conversations.openhands.v0.installation import Installation
from conversations.openhands.v0.limits import UserLimit
from conversations.openhands.v0.statuses import RUNNING_SET, compute_loop_status, is_given_up


class Starter:
    """Starts one conversation at a time of each id; any number of processes may do the same."""

    def __init__(
        self, installation: Installation, limit: UserLimit, config: Any, server_config: Any
    ) -> None:
        self._installation = installation
        self._limit = limit
        self._config = config
        self._server_config = server_config
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def start(self, order: Order) -> Watched:
        """Running, or on its way; ConversationError if it cannot even be asked for."""
        lock = self._locks.setdefault(order.sid, asyncio.Lock())
        async with lock:
            known = self._installation.find(order.sid)
            if known is not None and compute_loop_status(known) in RUNNING_SET:
                return await self._ask_for(order)
            async with self._limit.room_for(order.sid, order.user_id):
                if known is not None and is_given_up(known):
                    # Asked for again by a person: a pause makes the operator count anew.
                    await self._installation.pause(known)
                return await self._ask_for(order)

    async def _ask_for(self, order: Order) -> Watched:
        inputs = Inputs(
            first=build_first(order, await self._own_mcp_config(order)),
            settings=build_settings(order.settings),
            env=dict(self._config.sandbox.runtime_startup_env_vars),
        )
        return await self._installation.start(order.sid, self._build_spec(order), inputs)

    def _build_spec(self, order: Order) -> dict[str, Any]:
        template = self._installation.settings.template
        spec: dict[str, Any] = {"sessionID": order.sid, "template": template}
        if order.user_id:
            spec["user"] = order.user_id
        if image := getattr(order.settings, "sandbox_runtime_container_image", None):
            spec["image"] = image
        factor = getattr(order.settings, "remote_runtime_resource_factor", None)
        if factor not in (None, 1):
            spec["resourceFactor"] = factor
        return spec

    async def _own_mcp_config(self, order: Order) -> dict[str, Any] | None:
        """
        MCP servers that were given for this conversation alone.

        Later starts bring the user's own settings, in which these are not.
        """
        given = dump_mcp_config(order.settings)
        if given is None or self._installation.find(order.sid) is not None:
            return None
        store_class = get_impl(SettingsStore, self._server_config.settings_store_class)
        store = await store_class.get_instance(self._config, order.user_id)
        stored = await store.load()
        return None if given == dump_mcp_config(stored) else given
