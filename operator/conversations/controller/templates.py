"""RuntimeTemplates: kept in memory, checked once per generation, applied from the chart."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import pydantic
import yaml

from conversations.api.group import API_VERSION, TEMPLATE_KIND
from conversations.api.meta import Condition
from conversations.api.reasons import ConditionType, Reason
from conversations.api.template import RuntimeTemplate
from conversations.cluster.connection import NotFound
from conversations.cluster.kube import Kube
from conversations.core.build import build_pod
from conversations.core.errors import ApiRejected, ConversationError, TransientError
from conversations.core.observed import Conversation, ConversationMeta
from conversations.core.readiness import Finding
from conversations.core.refusals import explain_refusal
from conversations.core.template import Template

logger = logging.getLogger(__name__)

_UNUSABLE = (ConversationError, yaml.YAMLError, OSError, KeyError, TypeError, ValueError)

ACCEPTED = Finding(Reason.BLUEPRINT_ACCEPTED, "The API server would take a pod made from this.")


class Templates:
    """The RuntimeTemplates of the namespace, by name, as last read from the API server."""

    def __init__(self, kube: Kube, on_change: Callable[[str], None]) -> None:
        """`on_change(name)` is called when pods made from that template would differ from now on."""
        self._kube = kube
        self._on_change = on_change
        self._known: dict[str, Template] = {}

    def get(self, name: str) -> Template | None:
        return self._known.get(name)

    @property
    def names(self) -> list[str]:
        return list(self._known)

    async def load(self) -> None:
        """Read all of them."""
        items = msgspec.json.decode(await self._kube.list_templates())["items"]
        fresh = {t.metadata.name: _observed(t) for t in map(_parse, items) if t is not None}
        before, self._known = self._known, fresh
        for name in before.keys() | fresh.keys():
            if _differ(before.get(name), fresh.get(name)):
                self._on_change(name)

    async def reconcile(self, name: str) -> None:
        """Read one, and check its blueprint if that is due."""
        payload = await self._kube.get_template(name)
        template = None if payload is None else _parse(msgspec.json.decode(payload))
        before = self._known.pop(name, None)
        after = None if template is None else _observed(template)
        if after is not None:
            self._known[name] = after
        # Now, not after the check: that may fail, and by the next time nothing is new any more.
        if _differ(before, after):
            self._on_change(name)
        if template is not None and after is not None and _needs_check(template):
            await self._report(template, await self._check(after))

    async def apply(self, folder: Path) -> bool:
        """
        Apply the folder's YAML files server-side; those that would change nothing are not written.

        False where trying again may help.
        """
        settled = True
        for file in _files(folder):
            try:
                await self._apply_one(yaml.safe_load(file.read_text()))
            except (TransientError, NotFound) as error:  # NotFound: the CRD is still on its way.
                logger.warning("template file %s: %s; again later", file.name, error)
                settled = False
            except _UNUSABLE as error:
                logger.error("template file %s: %s", file.name, error)
        return settled

    async def _apply_one(self, manifest: dict[str, Any]) -> None:
        manifest |= {"apiVersion": API_VERSION, "kind": TEMPLATE_KIND}
        name = manifest["metadata"]["name"]
        live = await self._kube.get_template(name)
        if live is not None:
            would_be = await self._kube.apply_template(manifest, dry_run=True)
            if _declared(live) == _declared(would_be):
                return
        await self._kube.apply_template(manifest)
        logger.info("applied RuntimeTemplate %s", name)

    async def _check(self, template: Template) -> Finding:
        if template.problem is not None:
            return Finding(Reason.BLUEPRINT_REJECTED, template.problem)
        specimen = Conversation(ConversationMeta(name="dry-run", uid=template.uid))
        manifest = build_pod(specimen, template, session_key_hash="")
        del manifest["metadata"]["name"], manifest["metadata"]["ownerReferences"]
        manifest["metadata"]["generateName"] = "conv-dry-run-"
        try:
            await self._kube.create_pod(manifest, dry_run=True)
        except ApiRejected as error:
            finding = explain_refusal(error.status, error.message)
            if finding.reason == Reason.QUOTA_EXCEEDED:
                return ACCEPTED  # Quota is looked at last: everything else was in order.
            return Finding(Reason.BLUEPRINT_REJECTED, error.message)
        return ACCEPTED

    async def _report(self, template: RuntimeTemplate, finding: Finding) -> None:
        meta = template.metadata
        status: Literal["True", "False"] = "True" if finding is ACCEPTED else "False"
        old = _accepted(template)
        flipped = old is None or old.status != status
        condition = Condition(
            type=ConditionType.ACCEPTED,
            status=status,
            reason=finding.reason,
            message=finding.message[:1024],
            last_transition_time=datetime.now(UTC).replace(microsecond=0)
            if flipped or old is None
            else old.last_transition_time,
            observed_generation=meta.generation,
        )
        body = {"conditions": [condition.model_dump(mode="json", by_alias=True)]}
        await self._kube.patch_template_status(meta.name, meta.resource_version, body)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml"))


def _parse(manifest: dict[str, Any]) -> RuntimeTemplate | None:
    try:
        return RuntimeTemplate.model_validate(manifest)
    except pydantic.ValidationError as error:
        # Of a newer version of the API, perhaps: as good as not there, and said so.
        name = manifest.get("metadata", {}).get("name")
        logger.error("RuntimeTemplate %s cannot be read: %s", name, error)
        return None


def _observed(template: RuntimeTemplate) -> Template:
    meta = template.metadata
    return Template(meta.name, meta.uid, meta.generation, template.spec)


def _differ(old: Template | None, new: Template | None) -> bool:
    if old is None or new is None:
        return old is not new
    return old.uid != new.uid or old.generation != new.generation


def _accepted(template: RuntimeTemplate) -> Condition | None:
    return next((c for c in template.status.conditions if c.type == ConditionType.ACCEPTED), None)


def _needs_check(template: RuntimeTemplate) -> bool:
    accepted = _accepted(template)
    return accepted is None or accepted.observed_generation != template.metadata.generation


def _declared(payload: bytes) -> Any:
    manifest = msgspec.json.decode(payload)
    meta = manifest["metadata"]
    return manifest["spec"], meta.get("labels"), meta.get("annotations")
