"""The operator's process-wide settings, from its environment."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PREFIX = "CONVERSATION_OPERATOR_"
CACHE = f"{PREFIX}CACHE"
"""Not ours: it tells the development scripts where their files are."""


class Settings(BaseModel):
    """Each field is the environment variable CONVERSATION_OPERATOR_<FIELD>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: Annotated[str, Field(min_length=1)]
    """The one namespace whose Conversations are reconciled."""
    identity: Annotated[str, Field(default_factory=socket.gethostname, min_length=1)]
    """Who holds the Lease; unique per replica."""
    lease: str = "conversation-operator"
    """Name of the Lease; empty: act without one."""
    port: Annotated[int, Field(default=8080, ge=0, le=65535)]
    """Where /livez, /readyz and /metrics answer, on all interfaces."""
    templates_dir: Path | None = None
    """RuntimeTemplates in YAML files, applied at start by the holder of the Lease."""
    workers: Annotated[int, Field(default=32, ge=1, le=1000)]
    """How many conversations are reconciled at the same time."""
    resync_seconds: Annotated[float, Field(default=600.0, gt=0)]
    """How often everything is looked at without a cause, and what was refused is tried again."""
    orphan_seconds: Annotated[float, Field(default=3600.0, gt=0)]
    """How long a Secret with inputs may wait for its Conversation before it is swept."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "plain"] = "json"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Raises pydantic.ValidationError naming the variable's field."""
        given = {
            key.removeprefix(PREFIX).lower(): value
            for key, value in environ.items()
            if key.startswith(PREFIX) and (value or key == f"{PREFIX}LEASE") and key != CACHE
        }
        return cls.model_validate(given)
