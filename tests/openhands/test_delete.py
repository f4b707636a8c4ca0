"""Deleting a conversation: what RUNTIME=conversations.openhands.v0.ConversationRuntime is for."""

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from openhands.runtime import get_runtime_cls
from openhands.storage import get_file_store
from openhands.storage.files import FileStore
from openhands.storage.locations import get_conversation_dir, get_conversation_event_filename

from conversations.openhands.v0 import deletion
from conversations.openhands.v0.deletion import remove_history
from tests.openhands.rig.asking import run, wait_status
from tests.openhands.rig.outer import Outer, Servers
from tests.rig.api import Api, Manifest
from tests.rig.waiting import eventually

RUNTIME = get_runtime_cls("conversations.openhands.v0.ConversationRuntime")


async def wait_nothing_left(api: Api, conversation: Manifest) -> None:
    """Conversation, pod, Secrets and volume claim are gone."""
    name, uid = conversation["metadata"]["name"], conversation["metadata"]["uid"]
    left: list[str] = []

    async def is_gone() -> bool:
        left.clear()
        if found := await api.get("conversations", name):
            left.append(found["kind"])
        for kind in ("pods", "secrets", "persistentvolumeclaims"):
            for child in await api.list(kind):
                owners = child["metadata"].get("ownerReferences", [])
                owned = uid in {owner["uid"] for owner in owners}
                if owned or child["metadata"]["name"].startswith(f"{name}."):
                    left.append(f"{kind}/{child['metadata']['name']}")
        return not left

    await eventually(is_gone, 60, lambda: f"{name} still has {left}")


async def conversation_of(api: Api, sid: str) -> Manifest:
    [found] = [c for c in await api.list("conversations") if c["spec"].get("sessionID") == sid]
    return found


def write_history(file_store: FileStore, sid: str, user: str | None, events: int = 3) -> None:
    for number in range(events):
        file_store.write(get_conversation_event_filename(sid, number, user), "{}")


def has_history(file_store: FileStore, sid: str, user: str | None) -> bool:
    try:
        return bool(file_store.list(get_conversation_dir(sid, user)))
    except FileNotFoundError:
        return False


def test_the_class_is_found_and_can_be_made_no_instance_of() -> None:
    assert not inspect.isabstract(RUNTIME)
    RUNTIME.setup(None)
    RUNTIME.teardown(None)
    with pytest.raises(RuntimeError, match="CONVERSATION_MANAGER_CLASS"):
        RUNTIME(None, None, None)


async def test_without_a_manager_delete_says_what_is_missing() -> None:
    with pytest.raises(RuntimeError, match="CONVERSATION_MANAGER_CLASS"):
        await RUNTIME.delete("any")


@pytest.mark.parametrize("user", [None, "auth0|x", "ada@example.com"])
async def test_a_running_conversation_is_deleted_with_everything(
    outer: Outer, api: Api, test_id: str, user: str | None
) -> None:
    await outer.save_metadata(test_id, user)
    await run(outer, test_id, user)
    conversation = await conversation_of(api, test_id)
    write_history(outer.file_store, test_id, user)
    write_history(outer.file_store, test_id + "x", user)
    await RUNTIME.delete(test_id)
    assert await outer.manager.get_running_agent_loops(filter_to_sids={test_id}) == set()
    assert not has_history(outer.file_store, test_id, user)
    assert not has_history(outer.file_store, test_id, None)
    assert has_history(outer.file_store, test_id + "x", user)
    await wait_nothing_left(api, conversation)
    # What was mirrored before does not come back with the pod's last words.
    await asyncio.sleep(2)
    assert not has_history(outer.file_store, test_id, user)


async def test_a_paused_one_is_deleted_too_and_twice_is_as_good(
    outer: Outer, api: Api, test_id: str
) -> None:
    await run(outer, test_id)
    conversation = await conversation_of(api, test_id)
    await outer.manager.close_session(test_id)
    await wait_status(outer, test_id, None)
    write_history(outer.file_store, test_id, None)
    await asyncio.gather(RUNTIME.delete(test_id), RUNTIME.delete(test_id))
    await RUNTIME.delete(test_id)
    assert not has_history(outer.file_store, test_id, None)
    await wait_nothing_left(api, conversation)


async def test_one_whose_pod_never_came_is_deleted(
    outer: Outer, api: Api, test_id: str, kubelet: object
) -> None:
    kubelet.hold(test_id)  # type: ignore[attr-defined]
    await outer.start(test_id)
    conversation = await conversation_of(api, test_id)
    await RUNTIME.delete(test_id)
    await wait_nothing_left(api, conversation)


async def test_the_history_of_one_that_is_gone_is_found_by_its_metadata(
    outer: Outer, test_id: str
) -> None:
    await outer.save_metadata(test_id, "ada")
    write_history(outer.file_store, test_id, "ada")
    write_history(outer.file_store, test_id, "eve")
    await RUNTIME.delete(test_id)
    assert not has_history(outer.file_store, test_id, "ada")
    assert not has_history(outer.file_store, test_id, None)
    assert has_history(outer.file_store, test_id, "eve")


async def test_what_another_server_wrote_a_moment_later_goes_too(
    outer: Outer, test_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "SWEEP_SECONDS", 0.5)
    await outer.save_metadata(test_id, "ada")
    await RUNTIME.delete(test_id)
    write_history(outer.file_store, test_id, "ada")
    await eventually(lambda: not has_history(outer.file_store, test_id, "ada"), 10)


async def test_a_new_conversation_of_the_same_id_keeps_what_it_has(
    outer: Outer, test_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "SWEEP_SECONDS", 0.5)
    await outer.save_metadata(test_id, "ada", title="old")
    await RUNTIME.delete(test_id)
    await outer.save_metadata(test_id, "ada", title="new")
    write_history(outer.file_store, test_id, "ada")
    await asyncio.sleep(1)
    assert has_history(outer.file_store, test_id, "ada")
    assert (await (await outer.store()).get_metadata(test_id)).title == "new"


async def test_an_unknown_one_is_no_error(outer: Outer, test_id: str) -> None:
    await RUNTIME.delete(test_id)


async def test_another_installations_is_left_alone(
    servers: Servers, api: Api, test_id: str
) -> None:
    async with servers.open(installation=test_id + "-other") as other:
        await run(other, test_id)
    async with servers.open():
        await RUNTIME.delete(test_id)
    assert await conversation_of(api, test_id)


async def test_it_can_be_started_again_after_it_was_deleted(outer: Outer, test_id: str) -> None:
    await run(outer, test_id)
    await RUNTIME.delete(test_id)
    await run(outer, test_id)


@pytest.mark.parametrize("sid", ["", ".", "..", "../x", "a/b", "a\\b", "a\nb", "x" * 101])
async def test_a_hostile_sid_deletes_nothing(outer: Outer, sid: str) -> None:
    write_history(outer.file_store, "innocent", None)
    with pytest.raises(ValueError, match="conversation id"):
        await RUNTIME.delete(sid)
    assert has_history(outer.file_store, "innocent", None)


def test_a_users_name_that_leads_elsewhere_deletes_nothing(tmp_path: Path) -> None:
    store = get_file_store("local", str(tmp_path / "store"))
    store.write("conversations/one/secret.txt", "kept")
    remove_history(store, "one", "..")
    remove_history(store, "one", "a/../..")
    assert store.read("conversations/one/secret.txt") == "kept"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileStore]:
    """FILE_STORE=s3 on a server of its own."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "20")  # Amazon's own is 1000.
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anybody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_S3_ENDPOINT", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_S3_SECURE", "false")
    store = get_file_store("s3", "histories")
    store.client.create_bucket(Bucket="histories")
    yield store
    server.stop()


def test_s3_deletes_more_events_than_it_lists_at_once(s3: FileStore) -> None:
    write_history(s3, "one", "ada", events=50)
    write_history(s3, "one2", "ada")
    remove_history(s3, "one", "ada")
    assert not has_history(s3, "one", "ada")
    assert has_history(s3, "one2", "ada")


def test_files_that_stay_are_an_error(tmp_path: Path) -> None:
    store = get_file_store("local", str(tmp_path))

    class Stubborn:
        list = staticmethod(store.list)

        def delete(self, path: str) -> None:
            """As LocalFileStore does where it may not: log, and go on."""

    write_history(store, "one", None)
    with pytest.raises(OSError, match="sessions/one/"):
        remove_history(Stubborn(), "one", None)
