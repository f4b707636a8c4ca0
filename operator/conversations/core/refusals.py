"""What a refused write means: 403 is many things."""

from conversations.api.reasons import Reason
from conversations.core.readiness import Finding

QUOTA_RETRY_SECONDS = 30.0


def explain_refusal(status: int, message: str) -> Finding:
    """The reason and the API server's own words for a 4xx to a POST of ours."""
    if status == 403 and "exceeded quota" in message:
        return Finding(Reason.QUOTA_EXCEEDED, message)
    return Finding(Reason.POD_REJECTED, message)


def retry_seconds(reason: str, resync_seconds: float, jitter: float) -> float:
    """
    How long to leave the API server alone; `jitter` is in 0–1.

    Quota may be freed by anybody at any time.  The rest waits for a change of spec or template,
    and is tried once more at the resync.
    """
    base = QUOTA_RETRY_SECONDS if reason == Reason.QUOTA_EXCEEDED else resync_seconds
    return base * (0.75 + jitter / 2)
