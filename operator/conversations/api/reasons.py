"""
Every word a condition can carry.

The list is closed: the runbook has an entry for each, and a test holds the two together.
"""

from enum import StrEnum


class ConditionType(StrEnum):
    READY = "Ready"
    """The runtime can serve a request now."""
    PAUSED = "Paused"
    """The pod is absent on purpose.  False with PauseRefused when a pause was asked for and refused."""
    UP_TO_DATE = "UpToDate"
    """The running pod is what spec and template would make today."""
    CONFIGURED = "Configured"
    """The running runtime was told everything that spec.inputs declares."""
    WORKSPACE_LOST = "WorkspaceLost"
    """True once files that a person may have expected to keep are gone."""
    ACCEPTED = "Accepted"
    """RuntimeTemplate only: the API server would take a pod made from this blueprint."""


class Reason(StrEnum):
    # Ready=True
    RUNTIME_READY = "RuntimeReady"
    # Ready=False, on the way
    BOOTING = "Booting"
    PAUSED = "Paused"
    PAUSING = "Pausing"
    WAITING_FOR_OLD_POD = "WaitingForOldPod"
    WAITING_FOR_SECRET = "WaitingForSecret"
    CONFIGURING = "Configuring"
    # Ready=False, something is wrong
    UNSCHEDULABLE = "Unschedulable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    POD_REJECTED = "PodRejected"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    CONFIG_ERROR = "ConfigError"
    OUT_OF_MEMORY = "OutOfMemory"
    CRASH_LOOP = "CrashLoop"
    NOT_RESPONDING = "NotResponding"
    EVICTED = "Evicted"
    DISK_FULL = "DiskFull"
    PREEMPTED = "Preempted"
    NODE_LOST = "NodeLost"
    POD_FAILED = "PodFailed"
    POD_LOST = "PodLost"
    RESTART_LIMIT_REACHED = "RestartLimitReached"
    NAME_TAKEN = "NameTaken"
    TEMPLATE_NOT_FOUND = "TemplateNotFound"
    IMAGE_NOT_ALLOWED = "ImageNotAllowed"
    ENV_NOT_ALLOWED = "EnvNotAllowed"
    SESSION_KEY_LOST = "SessionKeyLost"
    CONFIGURATION_REJECTED = "ConfigurationRejected"
    PROVIDERS_REJECTED = "ProvidersRejected"
    # Configured
    INPUTS_APPLIED = "InputsApplied"
    SETTINGS_CHANGED = "SettingsChanged"
    # Paused
    PAUSE_REFUSED = "PauseRefused"
    # UpToDate
    AS_DESIRED = "AsDesired"
    SPEC_CHANGED = "SpecChanged"
    # WorkspaceLost
    POD_REPLACED = "PodReplaced"
    VOLUME_GONE = "VolumeGone"
    # Accepted
    BLUEPRINT_ACCEPTED = "BlueprintAccepted"
    BLUEPRINT_REJECTED = "BlueprintRejected"


TERMINAL_REASONS = frozenset(
    {
        Reason.POD_REJECTED,
        Reason.RESTART_LIMIT_REACHED,
        Reason.NAME_TAKEN,
        Reason.TEMPLATE_NOT_FOUND,
        Reason.IMAGE_NOT_ALLOWED,
        Reason.ENV_NOT_ALLOWED,
        Reason.CONFIG_ERROR,
        Reason.CONFIGURATION_REJECTED,
    }
)
"""Ready reasons that will not clear until a person changes something: waiting is useless."""
