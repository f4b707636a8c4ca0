"""What a pass can do for one conversation: one of these at a time, chosen by plan.py."""

from dataclasses import dataclass

from conversations.core.inputs import InputKind


@dataclass(frozen=True, slots=True)
class ReadConversation:
    """Read the Conversation live: nothing is replaced, resumed or paused on a cache's word."""


@dataclass(frozen=True, slots=True)
class ReadSecret:
    """Read the session Secret live."""


@dataclass(frozen=True, slots=True)
class CreateSecret:
    """Decide: make the session key."""


@dataclass(frozen=True, slots=True)
class ReadInputs:
    """Read the Secrets that spec.inputs names, and see whether they hold what it names."""


@dataclass(frozen=True, slots=True)
class AdoptInput:
    """Make the Conversation the owner of a Secret that it names."""

    kind: InputKind


@dataclass(frozen=True, slots=True)
class Configure:
    """Begin to tell the runtime its inputs; it goes on by itself, and reports."""


@dataclass(frozen=True, slots=True)
class ReadClaim:
    """Read the workspace's claim live."""


@dataclass(frozen=True, slots=True)
class CreateClaim:
    """Make the workspace's claim."""


@dataclass(frozen=True, slots=True)
class CreatePod:
    """Make the runtime pod."""


@dataclass(frozen=True, slots=True)
class ListPods:
    """List the conversation's pods live."""


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete the pod of that name if it still has that uid."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class RecordLoss:
    """Write down, before anything replaces it, that this pod is lost and why."""

    pod_uid: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class RecordVolumeGone:
    """Write down that the workspace is lost, before an empty one takes its place."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `seconds` have passed, unless something changes."""

    seconds: float


Action = (
    ReadConversation
    | ReadSecret
    | CreateSecret
    | ReadInputs
    | AdoptInput
    | Configure
    | ReadClaim
    | CreateClaim
    | CreatePod
    | ListPods
    | DeletePod
    | RecordLoss
    | RecordVolumeGone
    | Wait
)

CREATIONS = (CreateSecret, CreateClaim, CreatePod)
"""Actions that the API server may refuse, and that come after every loss was recorded."""
