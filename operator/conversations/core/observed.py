"""
What we look at of each object: msgspec structs with only the fields that decisions need.

The API's full models are in `api/`; these are for the hot path, where a typed partial decode costs
a hundredth (docs/decisions/0002-typed-partial-decode.md).  A test holds Conversation and Status
here and there to the same names.
"""

from datetime import datetime
from sys import intern

import msgspec

from conversations.api.labels import DRAINED_POD, INSTALLATION, PROTOCOL, RUNTIME_PORT
from conversations.api.reasons import ConditionType
from conversations.api.template import RUNTIME_CONTAINER, WORKSPACE_VOLUME


class _Struct(msgspec.Struct, rename="camel", omit_defaults=True):
    pass


class OwnerReference(_Struct):
    uid: str
    controller: bool = False


class Meta(_Struct):
    name: str
    uid: str = ""
    resource_version: str = "0"
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: list[OwnerReference] = []

    def is_owned_by(self, uid: str) -> bool:
        """Ownership is the uid of the controller reference, always."""
        return any(owner.controller and owner.uid == uid for owner in self.owner_references)


# --- Conversation


class Marks(msgspec.Struct, frozen=True, omit_defaults=True):
    """The labels and annotations that something is decided by; all others would cost memory."""

    installation: str | None = msgspec.field(default=None, name=INSTALLATION)
    drained_pod: str | None = msgspec.field(default=None, name=DRAINED_POD)


NO_MARKS = Marks()


class ConversationMeta(_Struct):
    name: str
    uid: str = ""
    resource_version: str = "0"
    generation: int = 0
    deletion_timestamp: datetime | None = None
    labels: Marks = NO_MARKS
    annotations: Marks = NO_MARKS

    def __post_init__(self) -> None:
        # kubectl's own annotation is on most: let the empty decodings share one object.
        if self.labels == NO_MARKS:
            self.labels = NO_MARKS
        if self.annotations == NO_MARKS:
            self.annotations = NO_MARKS


class EnvVar(_Struct):
    name: str
    value: str = ""


class Inputs(msgspec.Struct, frozen=True, omit_defaults=True):
    first: str | None = None
    settings: str | None = None
    env: str | None = None


NO_INPUTS = Inputs()


class Spec(_Struct):
    template: str = "default"
    session_id: str | None = msgspec.field(default=None, name="sessionID")
    user: str | None = None
    mode: str = "Running"
    image: str | None = None
    env: list[EnvVar] = []
    resource_factor: int = 1
    inputs: Inputs = NO_INPUTS


class Condition(_Struct, omit_defaults=False):
    """Words are plain text here: after a rollback there may be some that we do not know."""

    type: str
    status: str
    reason: str
    message: str
    last_transition_time: datetime
    observed_generation: int = 0

    def __post_init__(self) -> None:
        # Ten thousand conversations say the same few words: it is 0.6 KB less for each.
        self.type, self.status = intern(str(self.type)), intern(str(self.status))
        self.reason, self.message = intern(str(self.reason)), intern(str(self.message))


class Status(_Struct):
    phase: str | None = None
    conditions: list[Condition] = []
    pod_name: str | None = None
    pod_uid: str | None = msgspec.field(default=None, name="podUID")
    url: str | None = None
    session_key_secret: str | None = None
    session_key_hash: str | None = None
    workspace: str | None = None
    initialized_container_id: str | None = msgspec.field(
        default=None, name="initializedContainerID"
    )
    applied_settings: str | None = None
    restarts: int | None = None
    last_restart_time: datetime | None = None
    last_restart_reason: str | None = None
    last_restart_pod_uid: str | None = msgspec.field(default=None, name="lastRestartPodUID")
    startup_milliseconds: int | None = None

    def condition(self, kind: ConditionType) -> Condition | None:
        return next((c for c in self.conditions if c.type == kind), None)

    def is_true(self, kind: ConditionType) -> bool:
        condition = self.condition(kind)
        return condition is not None and condition.status == "True"


class Conversation(_Struct):
    metadata: ConversationMeta
    spec: Spec = msgspec.field(default_factory=Spec)
    status: Status = msgspec.field(default_factory=Status)


# --- Secret and PersistentVolumeClaim: metadata only


class Child(_Struct):
    """A Secret or a claim.  Key bytes never get here."""

    metadata: Meta


class FullSecret(_Struct):
    """A Secret with what is in it, read when it is needed and never kept."""

    metadata: Meta
    type: str = ""
    data: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"FullSecret({self.metadata.name!r})"


# --- Pod


class ContainerStateTerminated(_Struct):
    reason: str = ""
    message: str = ""
    exit_code: int = 0


class ContainerStateWaiting(_Struct):
    reason: str = ""
    message: str = ""


class ContainerStateRunning(_Struct):
    """Only that it runs is looked at."""


class ContainerState(_Struct):
    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(_Struct):
    name: str
    container_id: str = msgspec.field(default="", name="containerID")
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: ContainerState = msgspec.field(default_factory=ContainerState)
    last_state: ContainerState = msgspec.field(default_factory=ContainerState)


class PodCondition(_Struct):
    type: str
    status: str
    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        self.type, self.status = intern(str(self.type)), intern(str(self.status))


class PodStatus(_Struct):
    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: list[PodCondition] = []
    container_statuses: list[ContainerStatus] = []
    init_container_statuses: list[ContainerStatus] = []


class ClaimSource(_Struct):
    claim_name: str


class Volume(_Struct):
    name: str
    persistent_volume_claim: ClaimSource | None = None


class PodSpec(_Struct):
    node_name: str = ""
    volumes: list[Volume] = []


class Pod(_Struct):
    metadata: Meta
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)

    @property
    def is_terminal(self) -> bool:
        return self.status.phase in ("Failed", "Succeeded")

    @property
    def is_terminating(self) -> bool:
        return self.metadata.deletion_timestamp is not None

    @property
    def is_ready(self) -> bool:
        return self.status.phase == "Running" and not self.is_terminating and self._is_true("Ready")

    @property
    def runtime(self) -> ContainerStatus | None:
        """The runtime container's status."""
        statuses = self.status.container_statuses
        return next((c for c in statuses if c.name == RUNTIME_CONTAINER), None)

    @property
    def protocol(self) -> str | None:
        """What its runtime speaks, where that needs to be known."""
        return self.metadata.annotations.get(PROTOCOL)

    @property
    def run(self) -> str:
        """One run of the runtime container: what a process was told dies with it."""
        runtime = self.runtime
        if runtime is None:
            return f"{self.metadata.uid}/-"
        return runtime.container_id or f"{self.metadata.uid}/{runtime.restart_count}"

    @property
    def claim_name(self) -> str | None:
        """The claim behind the workspace volume; None where it is an emptyDir."""
        for volume in self.spec.volumes:
            if volume.name == WORKSPACE_VOLUME and volume.persistent_volume_claim is not None:
                return volume.persistent_volume_claim.claim_name
        return None

    @property
    def url(self) -> str | None:
        """Where its runtime listens; None before it has an address."""
        address, port = self.status.pod_ip, self.metadata.annotations.get(RUNTIME_PORT)
        if not address or not port:
            return None
        return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"

    def condition(self, kind: str) -> PodCondition | None:
        return next((c for c in self.status.conditions if c.type == kind), None)

    def _is_true(self, kind: str) -> bool:
        condition = self.condition(kind)
        return condition is not None and condition.status == "True"
