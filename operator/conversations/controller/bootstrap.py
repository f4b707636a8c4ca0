"""
Tells runtimes their inputs: one task for each, beside the passes, which must not wait that long.

What to say next is computed from what the runtime says (core/bootstrap.py), so a task that is cut
short at any point loses nothing: the next one looks and goes on.
"""

import asyncio
import logging
import random
from base64 import b64decode
from collections.abc import Awaitable, Callable
from functools import partial
from hashlib import sha256

from conversations.api.labels import SESSION_KEY, SESSION_KEY_HASH
from conversations.api.reasons import Reason
from conversations.cluster.kube import Kube
from conversations.controller.caches import Key
from conversations.controller.inputs import Inputs
from conversations.core.attempt import Outcome
from conversations.core.configuration import settings_hash
from conversations.core.declared import Declared
from conversations.core.errors import ConversationError, RuntimeUnavailable
from conversations.core.inputs import InputKind
from conversations.core.names import children_name
from conversations.core.observed import Conversation, Pod
from conversations.core.readiness import Finding
from conversations.core.world import Progress, World
from conversations.runtime.openhands_v0 import OpenHandsV0
from conversations.runtime.v0_bootstrap import configure

logger = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 30.0


Tell = Callable[[Pod, str, Declared], Awaitable[Outcome]]
"""Tells the runtime in that pod, which takes that key, what is declared."""


async def tell_openhands_v0(pod: Pod, key: str, declared: Declared) -> Outcome:
    """Over HTTP, and only to where the pod was just seen."""
    async with OpenHandsV0(pod.metadata.uid, pod.url or "", key) as server:
        return await configure(
            server, declared, report=partial(logger.debug, "%s: %s", pod.metadata.name)
        )


class NotTold(Exception):
    """It cannot be told now; the finding says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


class Bootstrapper:
    """At most one task for each conversation; `notify` is called when one has news."""

    def __init__(
        self,
        kube: Kube,
        inputs: Inputs,
        notify: Callable[[Key], None],
        patience_seconds: float,
        tell: Tell = tell_openhands_v0,
    ) -> None:
        self.inputs = inputs
        self._tell_runtime = tell
        self._kube = kube
        self._notify = notify
        self._patience_seconds = patience_seconds
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, world: World) -> None:
        """Begin with the run of the container that is there now; an earlier task is given up."""
        pod = world.pod
        assert pod is not None, "only planned for a pod that is ready"
        self.cancel(world.uid)
        before = world.memory.progress
        progress = Progress(run=pod.run, settings=settings_hash(world))
        if before is not None and before.run == pod.run:
            # Until this try has news, that is what there is to say.
            progress.finding, progress.failures = before.finding, before.failures
        world.memory.progress = progress
        task = asyncio.create_task(self._run(world.conversation, pod, progress))
        self._tasks[world.uid] = task
        task.add_done_callback(lambda ended: self._ended(world.uid, ended))

    def cancel(self, uid: str) -> None:
        """Stop telling; nothing is lost by it."""
        if task := self._tasks.pop(uid, None):
            task.cancel()

    def cancel_all(self) -> None:
        for uid in list(self._tasks):
            self.cancel(uid)

    def _ended(self, uid: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(uid) is task:
            del self._tasks[uid]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("bootstrap of %s", uid, exc_info=error)

    async def _run(self, conversation: Conversation, pod: Pod, progress: Progress) -> None:
        clock = asyncio.get_running_loop().time
        name = conversation.metadata.name
        try:
            outcome = await self._tell(conversation, pod)
            progress.finding, progress.applied = outcome.finding, True
            if not outcome.told:
                progress.settings = None  # An earlier task told it, perhaps other ones.
        except NotTold as failure:
            progress.finding = failure.finding
            progress.retry_at = clock() + self._patience_seconds
            logger.info("%s: %s", name, failure.finding.message)
        except ConversationError as error:
            progress.failures += 1
            progress.finding = Finding(Reason.CONFIGURING, f"{error}; it is tried again.")
            progress.retry_at = clock() + _retry_seconds(progress.failures)
            logger.info("%s: %s", name, error)
        except BaseException:
            # A bug, or cancelled by us: another pass starts it again.
            progress.retry_at = clock() + LAST_RETRY_SECONDS
            raise
        finally:
            self._notify(Key("Conversation", name))

    async def _tell(self, conversation: Conversation, pod: Pod) -> Outcome:
        first = await self.inputs.read_document(conversation, InputKind.FIRST)
        settings = await self.inputs.read_document(conversation, InputKind.SETTINGS)
        for found in (first, settings):
            if isinstance(found, Finding):
                raise NotTold(found)
        assert not isinstance(first, Finding) and not isinstance(settings, Finding)
        declared = Declared(
            sid=conversation.spec.session_id or conversation.metadata.name,
            first=first,
            settings=settings,
            configured_before=conversation.status.initialized_container_id is not None,
        )
        key = await self._read_key(pod, conversation.metadata.uid)
        outcome = await self._tell_runtime(await self._look(pod), key, declared)
        if not outcome.configured and outcome.finding is not None:
            raise NotTold(outcome.finding)
        return outcome

    async def _look(self, pod: Pod) -> Pod:
        """That very pod, by a live look: the address of one that is gone may be anybody's."""
        live = await self._kube.get_pod(pod.metadata.name)
        if live is None or live.metadata.uid != pod.metadata.uid:
            raise RuntimeUnavailable(f"pod {pod.metadata.name} is gone")
        if not live.is_ready or live.url is None or live.run != pod.run:
            raise RuntimeUnavailable(f"pod {pod.metadata.name} is not ready")
        return live

    async def _read_key(self, pod: Pod, uid: str) -> str:
        secret = await self._kube.get_full_secret(children_name(uid))
        encoded = "" if secret is None else secret.data.get(SESSION_KEY, "")
        key = b64decode(encoded)
        if sha256(key).hexdigest() != pod.metadata.annotations.get(SESSION_KEY_HASH):
            raise RuntimeUnavailable(f"pod {pod.metadata.name} was given another session key")
        return key.decode()


def _retry_seconds(failures: int) -> float:
    ceiling = min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(failures, 10))
    return ceiling * (0.5 + random.random() / 2)
