"""
The admin's pod blueprint: any YAML the API server took for an object.

Only its rough shape is checked here, so that manifests can be built from it; what a pod may say is
the API server's business, which is asked with a dry run.
"""

from typing import Any

import msgspec

from conversations.api.template import RUNTIME_CONTAINER

Manifest = dict[str, Any]


class _EnvVar(msgspec.Struct):
    name: str


class _Resources(msgspec.Struct):
    requests: Manifest = {}
    limits: Manifest = {}


class _Container(msgspec.Struct, rename="camel"):
    name: str
    env: list[_EnvVar] = []
    ports: list[Manifest] = []
    volume_mounts: list[Manifest] = []
    security_context: Manifest = {}
    resources: _Resources = msgspec.field(default_factory=_Resources)


class _PodSpec(msgspec.Struct, rename="camel"):
    containers: list[_Container]
    init_containers: list[_Container] = []
    volumes: list[Manifest] = []
    security_context: Manifest = {}


class _Metadata(msgspec.Struct):
    labels: Manifest = {}
    annotations: Manifest = {}


class _Blueprint(msgspec.Struct):
    spec: _PodSpec
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


def without_nulls(value: Any) -> Any:
    """A copy in which `field:` with nothing after it is as good as not written."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def explain_blueprint(blueprint: Manifest) -> str | None:
    """Why no runtime pod can be built from it, or None."""
    try:
        shape = msgspec.convert(blueprint, _Blueprint)
    except msgspec.ValidationError as error:
        return f"spec.pod: {error}"
    if all(container.name != RUNTIME_CONTAINER for container in shape.spec.containers):
        return f"spec.pod.spec.containers needs a container named {RUNTIME_CONTAINER!r}."
    return None
