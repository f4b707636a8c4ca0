"""The manager and the operator with a real nested server, where its own meaning matters."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.openhands.rig.asking import info_of, run
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.nested import KEY_HEADER
from tests.openhands.rig.outer import Outer
from tests.openhands.rig.real import RealNested
from tests.openhands.rig.routes import open_routes

pytestmark = pytest.mark.timeout(300)
SID = "Real-1"
OLD_EVENTS = 150


@pytest.fixture(scope="module")
async def real(
    module_outer: Outer, kubelet: Kubelet, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RealNested]:
    """A conversation on a real server, with a history that is longer than a page."""
    nested = RealNested(SID, tmp_path_factory.mktemp("volume"))
    nested.leave_events(OLD_EVENTS)
    kubelet.replace(SID, nested)
    await run(module_outer, SID, seconds=150)
    yield nested


async def test_p5_without_the_key_nothing_is_served(real: RealNested) -> None:
    async with httpx.AsyncClient(trust_env=False, base_url=real.url) as client:
        for path in (f"/api/conversations/{SID}", "/api/settings", "/api/secrets"):
            assert (await client.get(path)).status_code == 401
            wrong = await client.get(path, headers={KEY_HEADER: "wrong"})
            assert wrong.status_code == 401
        assert (await client.get("/alive")).status_code == 200


async def test_c07_the_real_server_takes_url_and_key(module_outer: Outer, real: RealNested) -> None:
    info = await info_of(module_outer, SID)
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(info.url, headers={KEY_HEADER: info.session_api_key})
    assert answer.json()["conversation_id"] == SID
    assert answer.json()["status"] == "RUNNING"
    listed = await module_outer.manager._fetch_list_files_from_nested(
        SID, info.url, info.session_api_key
    )
    assert listed == await module_outer.manager.list_files(SID)


async def test_c08_the_store_reads_the_real_servers_history_both_ways(
    module_outer: Outer, real: RealNested
) -> None:
    store = (await info_of(module_outer, SID)).event_store
    forward = [e.id for e in await asyncio.to_thread(list, store.search_events())]
    backward = [e.id for e in await asyncio.to_thread(list, store.search_events(reverse=True))]
    assert len(forward) > OLD_EVENTS
    assert forward == sorted(forward)
    assert backward[:OLD_EVENTS] == forward[::-1][:OLD_EVENTS]


async def test_files_go_through_the_real_server(module_outer: Outer, real: RealNested) -> None:
    manager = module_outer.manager
    uploaded, skipped = await manager.upload_files(SID, [("two words.txt", "größe".encode())])
    assert (len(uploaded), skipped) == (1, [])
    assert await manager.select_file(SID, "two words.txt") == ("größe", None)
    assert any(name.endswith("two words.txt") for name in await manager.list_files(SID))


async def test_c13_zip_is_the_real_servers(module_outer: Outer, real: RealNested) -> None:
    await module_outer.manager.upload_files(SID, [("zipped größe.txt", b"z")])
    async with open_routes(module_outer.manager) as routes:
        zipped = await routes.get(f"/api/conversations/{SID}/zip-directory")
        with zipfile.ZipFile(io.BytesIO(zipped.content)) as archive:
            assert any(name.endswith("zipped größe.txt") for name in archive.namelist())
        changes = await routes.get(f"/api/conversations/{SID}/git/changes")
    # The workspace is no repository; tests/e2e/openhands/test_life.py has one.
    assert (changes.status_code, changes.json()) == (200, [])
    attached = await module_outer.manager.attach_to_conversation(SID)
    assert attached.runtime.web_hosts == {}


async def test_c12_a_close_stops_the_real_agent(module_outer: Outer, real: RealNested) -> None:
    await module_outer.manager.close_session(SID)
    assert not await module_outer.manager.is_agent_loop_running(SID)
    assert module_outer.file_store.list(f"sessions/{SID}/events")
