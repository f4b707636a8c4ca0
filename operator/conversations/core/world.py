"""What one pass knows: the caches' view, what it read live, and what this process remembers."""

from dataclasses import dataclass, field
from datetime import datetime

from conversations.core.inputs import InputKind
from conversations.core.names import children_name
from conversations.core.observed import Child, Conversation, Pod
from conversations.core.readiness import Finding
from conversations.core.template import Template


@dataclass(slots=True)
class Refusal:
    """The API server said no to a write.  It is not asked again before `retry_at` (monotonic seconds)."""

    reason: str
    message: str
    made_from: str
    retry_at: float


@dataclass(slots=True)
class Progress:
    """
    How far the telling of inputs has come, for one run of a container.

    `settings` is the hash that is being told.  `finding` says what is wrong, or, once `applied`,
    what there is to know.  After a failure it is tried again at `retry_at` (monotonic seconds),
    later the more `failures` in a row there were.
    """

    run: str
    settings: str | None = None
    applied: bool = False
    finding: Finding | None = None
    retry_at: float | None = None
    failures: int = 0


@dataclass(slots=True)
class Memory:
    """
    What one process remembers of a conversation; losing it costs a repeated request at most.

    `has_decided`: this process made its Secret once.  `unsettled_since` is the monotonic time at which it was first seen neither Ready nor paused;
    `started_at` the same for a start that this process made itself, `pausing_since` for a pause.
    """

    has_decided: bool = False
    unsettled_since: float | None = None
    started_at: float | None = None
    pausing_since: float | None = None
    refusal: Refusal | None = None
    progress: Progress | None = None


@dataclass(slots=True)
class World:
    """One conversation and what surrounds it, as known at `now` (UTC) and `clock` (monotonic seconds)."""

    conversation: Conversation
    template: Template | None
    secret: Child | None
    pods: list[Pod]
    memory: Memory
    now: datetime
    clock: float
    # Established in this pass by an answer of the API server, not by a cache:
    secret_created: bool = False
    secret_read: bool = False
    confirmed: bool = False
    pods_listed: bool = False
    claim_read: bool = False
    claim: Child | None = None
    inputs: dict[InputKind, Child] = field(default_factory=dict)
    inputs_read: bool = False
    missing_input: Finding | None = None
    unfit_inputs: set[InputKind] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    @property
    def uid(self) -> str:
        return self.conversation.metadata.uid

    @property
    def owned_pods(self) -> list[Pod]:
        return [pod for pod in self.pods if pod.metadata.is_owned_by(self.uid)]

    @property
    def pod(self) -> Pod | None:
        """The chosen pod: ours, by the one name it can have."""
        name = children_name(self.uid)
        return next((pod for pod in self.owned_pods if pod.metadata.name == name), None)

    @property
    def is_drained(self) -> bool:
        """The pod's agent was stopped and its history saved, for a pause: it is of no more use."""
        pod, meta = self.pod, self.conversation.metadata
        return pod is not None and pod.metadata.uid == meta.annotations.drained_pod

    @property
    def refusal(self) -> Refusal | None:
        """The refusal that still stands for what would be asked now."""
        refusal = self.memory.refusal
        if refusal is None or refusal.made_from != self.made_from:
            return None
        return refusal

    @property
    def made_from(self) -> str:
        """Changes when spec or template do: what was refused is then worth another try."""
        digest = self.template.digest if self.template is not None else ""
        return f"{self.conversation.metadata.generation}/{digest}"
