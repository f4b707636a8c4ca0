"""Where a conversation is, and its events as the server reads them: C7, C8."""

import asyncio

import httpx
from openhands.events.nested_event_store import NestedEventStore

from tests.openhands.rig.asking import info_of, run
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.nested import KEY_HEADER
from tests.openhands.rig.outer import Outer, Servers
from tests.openhands.test_start import conversations_of
from tests.rig.api import Api


async def test_c07_the_url_ends_in_the_conversation(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    info = await run(outer, test_id, "ada")
    assert info.url == f"{kubelet.nested(test_id).url}/api/conversations/{test_id}"
    started = await outer.start(test_id, "ada")
    assert (started.url, started.session_api_key) == (info.url, info.session_api_key)


async def test_c07_the_key_opens_the_url(outer: Outer, kubelet: Kubelet, test_id: str) -> None:
    info = await run(outer, test_id)
    async with httpx.AsyncClient(trust_env=False) as client:
        refused = await client.get(info.url)
        assert refused.status_code == 401
        answer = await client.get(info.url, headers={KEY_HEADER: info.session_api_key})
    assert answer.json()["conversation_id"] == test_id


async def test_c07_the_base_class_finds_files_there(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    info = await run(outer, test_id)
    kubelet.nested(test_id).volume.files["a.txt"] = b"text"
    given = (test_id, info.url, info.session_api_key)
    assert await outer.manager._fetch_list_files_from_nested(*given) == ["a.txt"]
    found = await outer.manager._fetch_select_file_from_nested(*given, "a.txt")
    assert found == ("text", None)


async def test_c07_browsers_get_the_public_url_and_we_use_the_pods(
    servers: Servers, api: Api, kubelet: Kubelet, test_id: str
) -> None:
    async with servers.open(public_url="https://runtimes.example/x/") as outer:
        info = await run(outer, test_id)
        name = (await conversations_of(api, test_id))[0]["metadata"]["name"]
        public = f"https://runtimes.example/x/{name}/api/conversations/{test_id}"
        assert info.url == public
        assert (await outer.start(test_id)).url == public
        kubelet.nested(test_id).volume.files["a.txt"] = b"text"
        assert await outer.manager.list_files(test_id) == ["a.txt"]
        events = await asyncio.to_thread(list, info.event_store.search_events())
        assert len(events) == len(kubelet.nested(test_id).volume.events)


async def test_c08_the_event_store_has_the_key(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    started = await run(outer, test_id, "ada")
    for info in (started, await info_of(outer, test_id), await outer.start(test_id, "ada")):
        assert isinstance(info.event_store, NestedEventStore)
        assert info.event_store.session_api_key == kubelet.nested(test_id).key
        assert info.event_store.sid == test_id
        assert info.event_store.user_id == "ada"


async def test_c08_it_reads_more_events_than_a_page_both_ways(
    outer: Outer, kubelet: Kubelet, test_id: str
) -> None:
    info = await run(outer, test_id)
    nested = kubelet.nested(test_id)
    for _ in range(250):
        nested.add_event()
    count = len(nested.volume.events)

    async def ids(**options: bool) -> list[int]:
        found = await asyncio.to_thread(list, info.event_store.search_events(**options))
        return [event.id for event in found]

    assert await ids() == list(range(count))
    assert await ids(reverse=True) == list(range(count - 1, -1, -1))
    assert (await asyncio.to_thread(info.event_store.get_latest_event)).id == count - 1
