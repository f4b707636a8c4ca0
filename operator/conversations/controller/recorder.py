"""Posts Events, at most one per object and reason in five minutes."""

import logging
import time
from datetime import UTC, datetime

from conversations.cluster.kube import Kube
from conversations.controller import metrics
from conversations.core.errors import Conflict, ConversationError
from conversations.core.events import QUIET_SECONDS, build_event
from conversations.core.observed import Conversation
from conversations.core.readiness import Finding

logger = logging.getLogger(__name__)


class Recorder:
    """An Event that cannot be posted is logged and let go: it must not hold up the conversation."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._posted: dict[tuple[str, str], float] = {}

    async def post(self, conversation: Conversation, findings: list[Finding]) -> None:
        for finding in findings:
            if self._is_quiet(conversation.metadata.uid, finding.reason):
                continue
            event = build_event(conversation, self._namespace, finding, datetime.now(UTC))
            try:
                await self._kube.create_event(event)
                metrics.EVENTS.labels(finding.reason).inc()
            except Conflict:
                pass  # Another operator has said so.
            except ConversationError as error:
                logger.warning(
                    "event %s of %s: %s", finding.reason, conversation.metadata.name, error
                )

    def _is_quiet(self, uid: str, reason: str) -> bool:
        now = time.monotonic()
        if now - self._posted.get((uid, reason), -QUIET_SECONDS) < QUIET_SECONDS:
            return True
        self._posted[uid, reason] = now
        if len(self._posted) > 10_000:
            recent = {k: t for k, t in self._posted.items() if now - t < QUIET_SECONDS}
            self._posted = recent
        return False
