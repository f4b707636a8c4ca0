"""The Conversation resource: what somebody wants."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from conversations.api.inputs import FIRST_IS_IMMUTABLE, Inputs
from conversations.api.meta import ApiModel, Condition, ObjectMeta, one_of, rules
from conversations.api.reasons import ConditionType

MODES = ("Running", "Paused")
PHASES = ("Pending", "Running", "Paused", "Failed")

RESERVED_ENV_PATTERN = r"^(OH_.*|SESSION_API_KEY.*|LD_.*)$"
"""Names that decide who may talk to the runtime or what code it loads."""
MAX_ENV = 64
MAX_ENV_VALUE = 4096

METADATA_RULES = rules(
    (
        "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 63",
        "metadata.name must be a DNS label: at most 63 lower-case letters, digits or '-', "
        "starting and ending with a letter or digit",
    ),
)


def _immutable(field: str) -> tuple[str, str]:
    return (
        f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"spec.{field} is immutable: delete the Conversation and make another one",
    )


class EnvVar(ApiModel):
    """One literal environment variable of the runtime."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            pattern="^[A-Za-z_][A-Za-z0-9_]*$",
            description="Name of the variable; OH_*, SESSION_API_KEY* and LD_* are reserved.",
            json_schema_extra=rules(
                (
                    f"!self.matches('{RESERVED_ENV_PATTERN}')",
                    "spec.env name is reserved: OH_*, SESSION_API_KEY* and LD_* belong to the operator",
                ),
            ),
        ),
    ]
    value: Annotated[
        str,
        Field(
            default="",
            max_length=MAX_ENV_VALUE,
            description="Its value, taken literally: a `$` is never expanded.",
        ),
    ]


class ConversationSpec(ApiModel):
    """What somebody wants.  Changes of `env` and `image` act at the next start."""

    template: Annotated[
        str,
        Field(
            default="default",
            min_length=1,
            max_length=63,
            pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            description="Name of the RuntimeTemplate in the same namespace; `default` where absent.  Immutable.",
        ),
    ]
    session_id: Annotated[
        str | None,
        Field(
            default=None,
            alias="sessionID",
            min_length=1,
            max_length=100,
            description="The application's id of the conversation, 1 to 100 characters of any kind; "
            "where absent, readers take the object's name.  Immutable.",
        ),
    ]
    user: Annotated[
        str | None,
        Field(
            default=None,
            min_length=1,
            max_length=256,
            description="Raw id of the user it belongs to, up to 256 characters of any kind.  Immutable.",
        ),
    ]
    mode: Annotated[
        str,
        Field(
            default="Running",
            json_schema_extra=one_of(MODES),
            description="Desired state.  Running, the default: there is a pod.  Paused: the pod goes, the session key "
            "and a workspace on a volume claim stay.",
        ),
    ]
    image: Annotated[
        str | None,
        Field(
            default=None,
            min_length=1,
            max_length=512,
            description="Runtime image instead of the template's, where the template's allowedImages permit it.  "
            "A change acts at the next start.",
        ),
    ]
    env: Annotated[
        list[EnvVar],
        Field(
            default=[],
            max_length=MAX_ENV,
            description="Extra environment of the runtime, at most 64 variables, none that the template sets itself.  "
            "A change acts at the next start.",
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
        ),
    ]
    resource_factor: Annotated[
        int,
        Field(
            default=1,
            ge=1,
            le=8,
            json_schema_extra=rules(
                ("self in [1, 2, 4, 8]", "spec.resourceFactor is 1, 2, 4 or 8"),
            ),
            description="How many times the template's CPU, memory and ephemeral storage the runtime container gets: 1, 2, 4 or 8.  "
            "A change acts at the next start.",
        ),
    ]
    inputs: Annotated[
        Inputs,
        Field(
            default=Inputs(),
            description="What the runtime is told once it is up, in Secrets beside this object.",
        ),
    ]


SPEC_RULES = rules(
    _immutable("template"),
    _immutable("sessionID"),
    _immutable("user"),
    FIRST_IS_IMMUTABLE,
)


class ConversationStatus(ApiModel):
    """What the operator sees.  Nobody else writes it."""

    phase: Annotated[
        str | None,
        Field(
            default=None,
            json_schema_extra=one_of(PHASES),
            description="Summary for people, derived from the conditions.",
        ),
    ]
    conditions: Annotated[
        list[Condition],
        Field(
            default=[],
            max_length=16,
            description="Ready: it can serve a request now.  Paused: whether a wanted pause is in force.  UpToDate: the "
            "pod is what spec and template would make today.  Configured: the runtime was told its inputs.  "
            "WorkspaceLost: files are gone.",
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        ),
    ]
    pod_name: Annotated[
        str | None, Field(default=None, max_length=253, description="Name of the runtime pod.")
    ]
    pod_uid: Annotated[
        str | None,
        Field(default=None, alias="podUID", max_length=64, description="Uid of the runtime pod."),
    ]
    url: Annotated[
        str | None,
        Field(
            default=None,
            max_length=512,
            description="Where the runtime answers, while it is Ready; requests need the session key.",
        ),
    ]
    session_key_secret: Annotated[
        str | None,
        Field(default=None, max_length=253, description="Name of the Secret with the session key."),
    ]
    session_key_hash: Annotated[
        str | None,
        Field(
            default=None,
            max_length=64,
            description="Hex SHA-256 of the session key's text: checks a key without reading the Secret.",
        ),
    ]
    workspace: Annotated[
        str | None,
        Field(
            default=None,
            max_length=300,
            description="Where the files are: `emptyDir`, or the name of the PersistentVolumeClaim.",
        ),
    ]
    initialized_container_id: Annotated[
        str | None,
        Field(
            default=None,
            alias="initializedContainerID",
            max_length=256,
            description="The run of the runtime container that was told the inputs; another one is told them again.",
        ),
    ]
    applied_settings: Annotated[
        str | None,
        Field(
            default=None,
            max_length=64,
            description="Hash of the settings that this run was told, as spec.inputs.settings.",
        ),
    ]
    restarts: Annotated[
        int | None,
        Field(
            default=None,
            ge=0,
            le=1000000,
            description="Pod replacements in a row; counted anew after 10 minutes Ready, a pause or a spec change.",
        ),
    ]
    last_restart_time: Annotated[
        datetime | None,
        Field(default=None, description="When the runtime pod was last given up for a new one."),
    ]
    last_restart_reason: Annotated[
        str | None,
        Field(default=None, max_length=64, description="Why it was given up: a Ready reason."),
    ]
    last_restart_pod_uid: Annotated[
        str | None,
        Field(
            default=None,
            alias="lastRestartPodUID",
            max_length=64,
            description="Uid of the pod that was given up: a loss is counted once, whatever crashes.",
        ),
    ]
    startup_milliseconds: Annotated[
        int | None,
        Field(
            default=None,
            ge=0,
            le=2147483647,
            description="From the operator's first sight of the wish to Ready seen; absent if it restarted in between.",
        ),
    ]


class Conversation(ApiModel):
    """A conversation of an AI agent, with a runtime pod of its own."""

    metadata: ObjectMeta
    spec: Annotated[
        ConversationSpec,
        Field(
            default=ConversationSpec(),
            description="What is wanted: by whom, from which template, running or paused.",
            json_schema_extra=SPEC_RULES,
        ),
    ]
    status: Annotated[
        ConversationStatus,
        Field(
            default=ConversationStatus(), description="What is seen; written by the operator only."
        ),
    ]

    @property
    def session_id(self) -> str:
        """The application's id: spec.sessionID, or the object's name where it is absent."""
        return self.spec.session_id or self.metadata.name

    def condition(self, kind: ConditionType) -> Condition | None:
        """The condition of that type, or None while it was never reported."""
        return next((c for c in self.status.conditions if c.type == kind), None)
