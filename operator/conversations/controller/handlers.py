"""What kopf calls.  A handler names the object and decides nothing."""

import itertools
from collections.abc import Iterator
from typing import Any

import kopf

from conversations.api.group import GROUP, TEMPLATES, VERSION
from conversations.controller.operator import Operator


class EndlessBackoffs:
    """In seconds.  When kopf's own come to an end, so does the operator: after a minute of 503."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((1, 1, 2, 3, 5, 8), itertools.repeat(10))


def register(registry: kopf.OperatorRegistry, operator: Operator) -> None:
    """Put our handlers into kopf's registry."""

    # kopf would try a failed start again a minute later; kubelet does that better, and says so.
    @kopf.on.startup(registry=registry, errors=kopf.ErrorsMode.PERMANENT)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        # One Lease for all replicas instead of peering, which pauses both of two equals; no
        # events and no annotations on other people's objects; no watch of CRDs or namespaces,
        # which a namespaced Role does not allow.
        settings.peering.standalone = True
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.networking.request_timeout = 20
        settings.networking.connect_timeout = 10
        settings.networking.error_backoffs = EndlessBackoffs()
        settings.watching.server_timeout = 300
        settings.watching.inactivity_timeout = 90
        await operator.start()

    # The same library, files and environment as our own Connection: one identity for both.
    kopf.on.login(registry=registry)(kopf.login_via_async_client)

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await operator.stop()

    @kopf.on.event(GROUP, VERSION, TEMPLATES, registry=registry)
    async def template_changed(name: str, **_: Any) -> None:
        operator.template_changed(name)
