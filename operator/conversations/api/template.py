"""The RuntimeTemplate resource: how a pod is made.  It belongs to the admin."""

from typing import Annotated, Any, Literal

from pydantic import Field

from conversations.api.meta import ApiModel, Condition, ObjectMeta, rules

RUNTIME_CONTAINER = "runtime"
"""The container of the blueprint that is the runtime; others are sidecars of the admin's."""
WORKSPACE_VOLUME = "workspace"

QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$"


class PersistentWorkspace(ApiModel):
    """A PersistentVolumeClaim for each conversation."""

    size: Annotated[
        str,
        Field(
            default="10Gi",
            max_length=32,
            pattern=QUANTITY_PATTERN,
            description="Storage request, a Kubernetes quantity; 10Gi where absent.",
        ),
    ]
    storage_class_name: Annotated[
        str | None,
        Field(
            default=None,
            min_length=1,
            max_length=253,
            description="StorageClass; where absent, the cluster's default one.",
        ),
    ]
    retention: Annotated[
        Literal["Delete", "Retain"],
        Field(
            default="Delete",
            description="What becomes of the volume claim when the Conversation is deleted: Delete, the default, or "
            "Retain, which leaves it to an admin.",
        ),
    ]


class EphemeralWorkspace(ApiModel):
    """A directory that lives and dies with the pod."""

    size_limit: Annotated[
        str | None,
        Field(
            default=None,
            max_length=32,
            pattern=QUANTITY_PATTERN,
            description="The pod is evicted when its files grow beyond this.",
        ),
    ]


class Workspace(ApiModel):
    """Where the conversation's files live: exactly one kind of volume."""

    persistent_volume_claim: Annotated[
        PersistentWorkspace | None,
        Field(
            default=None,
            description="A volume claim for each conversation: files survive a pause and the loss of a pod.",
        ),
    ]
    empty_dir: Annotated[
        EphemeralWorkspace | None,
        Field(default=None, description="A directory on the node: fast, and gone with the pod."),
    ]
    mount_path: Annotated[
        str,
        Field(
            default="/workspace",
            min_length=2,
            max_length=256,
            pattern="^/[^:]*$",
            description="Where the runtime container sees it; `/workspace` where absent.",
        ),
    ]
    loss_on_pause: Annotated[
        Literal["Refuse", "Accept"],
        Field(
            default="Refuse",
            description="Whether a conversation on an emptyDir may be paused although its files are lost: Refuse, the "
            "default, or Accept.",
        ),
    ]


WORKSPACE_RULES = rules(
    (
        "has(self.persistentVolumeClaim) != has(self.emptyDir)",
        "spec.workspace needs exactly one of persistentVolumeClaim and emptyDir",
    ),
)


class RuntimeTemplateSpec(ApiModel):
    """How a runtime pod is made.  A running pod is never replaced because this changes."""

    protocol: Annotated[
        Literal["AgentServer", "OpenHandsV0"],
        Field(
            default="AgentServer",
            description="What the runtime speaks: AgentServer is OpenHands' agent-server, OpenHandsV0 the server of "
            "openhands-ai 1.4 to 1.6 with one conversation in it.",
        ),
    ]
    pod: Annotated[
        dict[str, Any],
        Field(
            description="A pod template (metadata.labels, metadata.annotations, spec) with a container named "
            "`runtime`.  What it leaves open is filled with hardened defaults: non-root, read-only root, no "
            "capabilities, no service account token, limits, probes.  The API server checks the result "
            "once per generation: see the condition Accepted.",
            json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
        ),
    ]
    port: Annotated[
        int,
        Field(
            default=8000,
            ge=1,
            le=65535,
            description="Port the runtime listens on; 8000 where absent.",
        ),
    ]
    workspace: Annotated[
        Workspace,
        Field(
            default=Workspace(persistent_volume_claim=PersistentWorkspace()),
            description="Where the conversation's files live: exactly one kind of volume; where absent, a volume claim "
            "of 10Gi of the default StorageClass.",
            json_schema_extra=WORKSPACE_RULES,
        ),
    ]
    allowed_images: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=512)]],
        Field(
            default=[],
            max_length=64,
            description="Globs of images that a Conversation may name, registry host included; `*` does not "
            "cross `/`, `:` or `@`.  Empty: the template's own image only.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ]


class RuntimeTemplateStatus(ApiModel):
    """What the operator says of the blueprint."""

    conditions: Annotated[
        list[Condition],
        Field(
            default=[],
            max_length=8,
            description="Accepted: the API server would take a pod made from this blueprint.",
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        ),
    ]


class RuntimeTemplate(ApiModel):
    """A kind of runtime: pod blueprint, workspace and bounds, for any number of conversations."""

    metadata: ObjectMeta
    spec: Annotated[RuntimeTemplateSpec, Field(description="How a pod is made.")]
    status: Annotated[
        RuntimeTemplateStatus,
        Field(
            default=RuntimeTemplateStatus(), description="What the operator says of the blueprint."
        ),
    ]
