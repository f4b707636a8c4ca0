"""A RuntimeTemplate as decisions need it."""

from functools import cached_property
from hashlib import sha256
from typing import Any

import msgspec

from conversations.api.template import RUNTIME_CONTAINER, RuntimeTemplateSpec
from conversations.core.blueprint import explain_blueprint, without_nulls
from conversations.core.protocol import explain_runtime


class Template:
    """A RuntimeTemplate as the operator keeps it: the API model and a digest of what shapes a pod."""

    def __init__(self, name: str, uid: str, generation: int, spec: RuntimeTemplateSpec) -> None:
        self.name = name
        self.uid = uid
        self.generation = generation
        self.spec = spec

    @cached_property
    def digest(self) -> str:
        """Changes exactly when pods made from the template would."""
        shape = self.spec.model_dump(
            mode="json", by_alias=True, include={"protocol", "pod", "port", "workspace"}
        )
        return sha256(msgspec.json.encode(shape, order="deterministic")).hexdigest()

    @cached_property
    def blueprint(self) -> dict[str, Any]:
        """The admin's pod template."""
        pod: dict[str, Any] = without_nulls(self.spec.pod)
        return pod

    @cached_property
    def problem(self) -> str | None:
        """Why no runtime pod can be built from the blueprint, or None."""
        return explain_blueprint(self.blueprint) or explain_runtime(
            self.spec, self.container.get("env", [])
        )

    @property
    def container(self) -> dict[str, Any]:
        """The runtime container of a blueprint without a `problem`."""
        containers = self.blueprint["spec"]["containers"]
        return next(c for c in containers if c["name"] == RUNTIME_CONTAINER)

    @property
    def is_ephemeral(self) -> bool:
        return self.spec.workspace.empty_dir is not None
