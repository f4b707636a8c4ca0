"""OpenHands' own routes on a manager, without the rest of the server."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import httpx
from fastapi import FastAPI
from openhands.server import utils
from openhands.server.routes import files
from openhands.server.user_auth import get_user_id
from openhands.server.utils import get_conversation_metadata, get_conversation_store
from openhands.storage.data_models.conversation_metadata import ConversationMetadata


@contextlib.asynccontextmanager
async def open_routes(
    manager: Any, *more: ModuleType, user: str | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of routes/files.py, and of more of their modules, for that user."""
    app = FastAPI()
    app.dependency_overrides = {
        get_user_id: lambda: user,
        get_conversation_store: lambda: None,
        get_conversation_metadata: lambda conversation_id: ConversationMetadata(
            conversation_id=conversation_id, selected_repository=None, user_id=user
        ),
    }
    # What a lambda calls its parameter is nothing to FastAPI unless it says of which type it is.
    app.dependency_overrides[get_conversation_metadata].__annotations__["conversation_id"] = str
    modules = (files, *more)
    for module in modules:
        app.include_router(module.app)
    with managed(manager, utils, *modules):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://outer") as client:
            yield client


@contextlib.contextmanager
def managed(manager: Any, *modules: ModuleType) -> Iterator[None]:
    """The server's modules have the manager as a global each, made when they are imported."""
    before = [getattr(module, "conversation_manager", None) for module in modules]
    for module in modules:
        module.conversation_manager = manager  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module, one in zip(modules, before, strict=True):
            module.conversation_manager = one  # type: ignore[attr-defined]
