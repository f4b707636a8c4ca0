"""What an outer OpenHands server gives its manager, without the server."""

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import socketio
from openhands.core.config.openhands_config import OpenHandsConfig
from openhands.server.config.server_config import ServerConfig
from openhands.server.session.conversation_init_data import ConversationInitData
from openhands.storage import get_file_store
from openhands.storage.conversation.file_conversation_store import FileConversationStore
from openhands.storage.data_models.conversation_metadata import ConversationMetadata
from openhands.storage.files import FileStore

from conversations.openhands.v0 import KubernetesConversationManager

LLM_KEY = "llm-key-that-must-stay-secret"
TOKEN = "provider-token-that-must-stay-secret"
SECRET = "user-secret-that-must-stay-secret"

WRITTEN_SECRETS = frozenset({LLM_KEY, TOKEN, SECRET})


class Emitted(socketio.AsyncManager):  # type: ignore[misc]
    """What the server tells its browsers: (room, event, data)."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, str, Any]] = []

    async def emit(self, event: str, data: Any, namespace: str, room: Any = None, **_: Any) -> None:
        self.events.append((room, event, data))


@dataclass
class Outer:
    """One server's manager, entered, and what surrounds it."""

    manager: KubernetesConversationManager
    config: OpenHandsConfig
    file_store: FileStore
    emitted: Emitted
    installation: str

    async def store(self, user: str | None = None) -> FileConversationStore:
        """Where the server keeps metadata of conversations."""
        return await FileConversationStore.get_instance(self.config, user)

    async def save_metadata(self, sid: str, user: str | None = None, **fields: Any) -> None:
        """As the route does before it starts a conversation."""
        metadata = ConversationMetadata(
            conversation_id=sid, selected_repository=None, user_id=user, **fields
        )
        await (await self.store(user)).save_metadata(metadata)

    async def start(self, sid: str, user: str | None = None, **options: Any) -> Any:
        """maybe_start_agent_loop with good settings."""
        settings = options.pop("settings", None) or some_settings()
        return await self.manager.maybe_start_agent_loop(sid, settings, user, **options)


def some_settings(**fields: Any) -> ConversationInitData:
    """Settings of a user who has said all that matters."""
    given = {
        "language": "en",
        "agent": "CodeActAgent",
        "max_iterations": 20,
        "llm_model": "openai/gpt-4o",
        "llm_api_key": LLM_KEY,
        "llm_base_url": "http://127.0.0.1:9/v1",
    }
    return ConversationInitData(**{**given, **fields})


def new_instance(folder: Path, **fields: Any) -> tuple[KubernetesConversationManager, Outer]:
    """A manager as `openhands.server.shared` makes it: synchronously, while it is imported."""
    config = OpenHandsConfig(file_store="local", file_store_path=str(folder), **fields)
    file_store = get_file_store("local", str(folder))
    emitted = Emitted()
    sio = socketio.AsyncServer(client_manager=emitted, async_mode="asgi")
    manager = KubernetesConversationManager.get_instance(
        sio, config, file_store, ServerConfig(), None
    )
    return manager, Outer(manager, config, file_store, emitted, "")


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These environment variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass
class Servers:
    """Makes outer servers for one test."""

    kubeconfig: Path
    namespace: str
    folder: Path
    installation: str
    secrets: set[str] = field(default_factory=lambda: set(WRITTEN_SECRETS))

    @contextlib.asynccontextmanager
    async def open(
        self, *, installation: str = "", config: Mapping[str, Any] | None = None, **settings: str
    ) -> AsyncIterator[Outer]:
        """A server; settings are CONVERSATIONS_* without the prefix."""
        variables = {
            "namespace": self.namespace,
            "kubeconfig": str(self.kubeconfig),
            "access": "direct",
            "template": "default",
            "installation": installation or self.installation,
            **settings,
        }
        named = {f"CONVERSATIONS_{name.upper()}": value for name, value in variables.items()}
        with environment(named):
            manager, outer = new_instance(self.folder / "file_store", **(config or {}))
            outer.installation = variables["installation"]
            async with manager:
                yield outer


class LogText(logging.Handler):
    """Everything that is logged, whatever the levels say."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record) + repr(record.__dict__))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)
