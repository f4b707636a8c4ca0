"""The operator as a whole in one process: how it starts, stops, stands by and is let down."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from conversations.api.group import API_VERSION, TEMPLATE_KIND
from conversations.cluster import paths
from conversations.cluster.connection import Connection
from conversations.cluster.paths import collection
from conversations.controller.operator import Operator
from conversations.controller.settings import Settings
from conversations.core.errors import InvalidRequest
from tests.rig.waiting import eventually
from tests.small_api.server import Server, connect

CONVERSATIONS = paths.conversations("default")
TEMPLATES = paths.templates("default")
PODS = paths.core("pods", "default")
SECRETS = paths.core("secrets", "default")
LEASES = collection("coordination.k8s.io", "v1", "leases", "default")
TEMPLATE = {
    "apiVersion": API_VERSION,
    "kind": TEMPLATE_KIND,
    "metadata": {"name": "default"},
    "spec": {
        "pod": {"spec": {"containers": [{"name": "runtime", "image": "agent:1"}]}},
        "workspace": {"emptyDir": {}},
    },
}


def a_conversation(name: str = "chat") -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"template": "default"}}


@pytest.fixture
async def make(small_api: Server) -> AsyncIterator[Callable[..., Operator]]:
    """Operators of the namespace; stopped at the end."""
    made: list[Operator] = []

    async def connection() -> Connection:
        return connect(small_api)

    def make(**given: Any) -> Operator:
        values = {"namespace": "default", "lease": "", "workers": 4} | given
        made.append(Operator(Settings.model_validate(values), connection))
        return made[-1]

    yield make
    for operator in made:
        await operator.stop()


def writes(server: Server) -> list[str]:
    kinds = ("POST", "PATCH", "PUT", "DELETE")
    return [
        f"{method} {path.split('/')[-1]}"
        for method, path, query in server.requests
        if method in kinds and "dryRun" not in query
    ]


def status(server: Server, name: str = "chat") -> dict[str, Any]:
    found: dict[str, Any] = server.store.get(CONVERSATIONS, name).get("status") or {}
    return found


def ready_reason(server: Server) -> str:
    conditions = status(server).get("conditions", [])
    return next((str(c["reason"]) for c in conditions if c["type"] == "Ready"), "")


async def test_a_start_without_a_cluster_fails_and_leaves_nothing() -> None:
    async def nowhere() -> Connection:
        raise InvalidRequest("which cluster?")

    before = asyncio.all_tasks()
    with pytest.raises(InvalidRequest):
        await Operator(Settings.model_validate({"namespace": "default"}), nowhere).start()
    assert asyncio.all_tasks() == before


async def test_a_start_that_is_cut_short_leaves_nothing(
    small_api: Server, make: Callable[..., Operator]
) -> None:
    small_api.hang.clear()
    before = asyncio.all_tasks()
    starting = asyncio.create_task(make().start())
    await eventually(lambda: len(small_api.requests) >= 3, 10)
    starting.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait_for(starting, 5)
    small_api.hang.set()
    await asyncio.sleep(0.1)
    ours = {task for task in asyncio.all_tasks() - before if "conversations" in repr(task)}
    assert not ours


async def test_stop_before_start_and_stop_twice(make: Callable[..., Operator]) -> None:
    operator = make()
    await operator.stop()
    await operator.stop()


async def test_nothing_is_written_before_all_is_synced(
    small_api: Server, make: Callable[..., Operator]
) -> None:
    small_api.store.create(TEMPLATES, TEMPLATE)
    small_api.store.create(CONVERSATIONS, a_conversation())
    refused = {"on": True}
    small_api.refusal = lambda method, path: (
        (503, "ServiceUnavailable") if refused["on"] and path == SECRETS else None
    )
    starting = asyncio.create_task(make().start())
    await asyncio.sleep(1)
    assert writes(small_api) == []
    refused["on"] = False
    await asyncio.wait_for(starting, 15)
    await eventually(lambda: small_api.store.list(PODS), 10)


async def test_a_template_that_comes_late_starts_who_waits_though_its_check_fails(
    small_api: Server, make: Callable[..., Operator]
) -> None:
    small_api.store.create(CONVERSATIONS, a_conversation())
    operator = make()
    await operator.start()
    await eventually(lambda: ready_reason(small_api) == "TemplateNotFound", 10)
    small_api.refusal = lambda method, path: (
        (503, "ServiceUnavailable") if method == "POST" and path == PODS else None
    )
    small_api.store.create(TEMPLATES, TEMPLATE)
    operator.template_changed("default")
    await eventually(lambda: small_api.store.list(SECRETS), 3)


async def test_the_chart_s_templates_outlast_an_api_server_that_is_not_ready_yet(
    small_api: Server, make: Callable[..., Operator], tmp_path: Path
) -> None:
    (tmp_path / "default.yaml").write_text(yaml.safe_dump(TEMPLATE))
    (tmp_path / "broken.yaml").write_text("[1, 2")
    (tmp_path / "text.yaml").write_bytes(b"\xff\xfe")
    outage = {"left": 3}

    def refusal(method: str, path: str) -> tuple[int, str] | None:
        if method in ("GET", "PATCH") and path.startswith(TEMPLATES) and outage["left"]:
            outage["left"] -= 1
            return 503, "ServiceUnavailable"
        return None

    small_api.refusal = refusal
    small_api.store.create(CONVERSATIONS, a_conversation())
    operator = make(templates_dir=tmp_path)
    await operator.start()
    await eventually(lambda: small_api.store.list(TEMPLATES), 10)
    operator.template_changed("default")
    await eventually(lambda: small_api.store.list(PODS), 10)


async def test_i7_a_webhook_that_fails_for_ever_is_shown_and_not_stormed(
    small_api: Server, make: Callable[..., Operator]
) -> None:
    small_api.store.create(TEMPLATES, TEMPLATE)
    small_api.refusal = lambda method, path: (
        (500, "failed calling webhook") if method == "POST" and path == PODS else None
    )
    await make().start()
    small_api.store.create(CONVERSATIONS, a_conversation())
    await small_api.tell()
    await eventually(lambda: ready_reason(small_api) == "Booting", 10)
    await asyncio.sleep(2)
    posts = [word for word in writes(small_api) if word == "POST pods"]
    assert len(posts) < 12


async def test_i6_nothing_is_written_at_rest_or_by_a_resync(
    small_api: Server, make: Callable[..., Operator]
) -> None:
    small_api.store.create(TEMPLATES, TEMPLATE)
    small_api.store.create(CONVERSATIONS, a_conversation())
    await make(resync_seconds=0.3).start()
    await eventually(lambda: small_api.store.list(PODS), 10)
    pod = small_api.store.list(PODS)[0]["metadata"]["name"]
    small_api.store.change(
        PODS,
        pod,
        status={"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    )
    await small_api.tell()
    await eventually(lambda: status(small_api).get("phase") == "Running", 10)
    await asyncio.sleep(0.3)
    before = len(writes(small_api))
    await asyncio.sleep(1.5)
    assert writes(small_api)[before:] == [], writes(small_api)


async def test_a_standby_queues_nothing_and_knows_all_when_it_takes_over(
    small_api: Server, make: Callable[..., Operator]
) -> None:
    small_api.store.create(TEMPLATES, TEMPLATE)
    lease = {"metadata": {"name": "lease"}, "spec": {"holderIdentity": "other"}}
    small_api.store.create(LEASES, lease)
    operator = make(lease="lease")
    await operator.start()
    for number in range(20):
        small_api.store.create(CONVERSATIONS, a_conversation(f"chat-{number}"))
    await small_api.tell()
    await asyncio.sleep(0.5)
    assert len(operator._queue) == 0
    assert writes(small_api) == []
    small_api.store.patch(LEASES, "lease", {"spec": {"holderIdentity": ""}})
    await eventually(lambda: len(small_api.store.list(PODS)) == 20, 15)
    await operator.stop()
    assert small_api.store.get(LEASES, "lease")["spec"].get("holderIdentity", "") == ""


async def test_a_lease_lost_while_taking_over_leaves_nobody_acting(
    small_api: Server, make: Callable[..., Operator]
) -> None:
    small_api.store.create(LEASES, {"metadata": {"name": "lease"}, "spec": {"holderIdentity": "x"}})
    small_api.store.create(TEMPLATES, TEMPLATE)
    operator = make(lease="lease")
    await operator.start()
    small_api.hang.clear()
    operator._lead(True)
    await asyncio.sleep(0.1)
    operator._lead(False)
    small_api.hang.set()
    small_api.store.create(CONVERSATIONS, a_conversation())
    await small_api.tell()
    await asyncio.sleep(0.5)
    assert small_api.store.list(SECRETS) == []


async def test_a_conversation_that_is_gone_for_the_api_server_is_let_go(
    small_api: Server, make: Callable[..., Operator]
) -> None:
    small_api.store.create(TEMPLATES, TEMPLATE)
    await make().start()
    # Ours are four; kopf opens another.
    await eventually(lambda: len(small_api.watches) >= 4, 10)
    small_api.store.create(CONVERSATIONS, a_conversation())
    await small_api.tell()
    await eventually(lambda: small_api.store.list(SECRETS), 10)
    small_api.is_silent = True
    small_api.store.remove(CONVERSATIONS, "chat")
    await asyncio.sleep(4)
    before = len(writes(small_api))
    await asyncio.sleep(1.5)
    assert writes(small_api)[before:] == [], writes(small_api)
