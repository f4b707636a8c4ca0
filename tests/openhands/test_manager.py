"""How a server loads, makes, enters and leaves its manager: C1, C2, C3."""

import asyncio
import inspect
import os
from importlib.metadata import version
from pathlib import Path

import pytest
from openhands.server.conversation_manager.conversation_manager import ConversationManager
from openhands.storage.data_models.conversation_status import ConversationStatus
from openhands.utils.import_utils import get_impl

import conversations.openhands.v0
from conversations.openhands.v0 import KubernetesConversationManager
from tests.openhands.__main__ import INSTALLED, OVERLAYS
from tests.openhands.conftest import is_ours
from tests.openhands.rig.asking import info_of, run, wait_status
from tests.openhands.rig.kubelet import Kubelet
from tests.openhands.rig.outer import Servers, new_instance

PATH = "conversations.openhands.v0.KubernetesConversationManager"


def test_this_is_the_version_that_was_asked_for() -> None:
    assert version("openhands-ai") == os.environ["OPENHANDS_VERSION"]
    overlaid = os.environ["OPENHANDS_VERSION"] != INSTALLED
    assert (f"{OVERLAYS}-" in inspect.getfile(ConversationManager)) == overlaid


def test_c01_the_class_is_found_and_complete() -> None:
    assert get_impl(ConversationManager, PATH) is KubernetesConversationManager
    assert not inspect.isabstract(KubernetesConversationManager)
    assert conversations.openhands.v0.ConversationRuntime is not None


def test_c02_an_instance_is_made_without_an_event_loop(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    manager, outer = new_instance(tmp_path)
    assert isinstance(manager, ConversationManager)
    assert manager.file_store is outer.file_store


def test_c03_routes_find_sio_and_file_store_before_the_start(tmp_path: Path) -> None:
    manager, outer = new_instance(tmp_path)
    assert manager.sio.manager is outer.emitted
    assert manager.file_store is outer.file_store


async def test_c03_entering_gives_the_manager_and_leaving_leaves_no_task(servers: Servers) -> None:
    before = asyncio.all_tasks()
    async with servers.open() as outer:
        assert any(is_ours(task) for task in asyncio.all_tasks() - before)
        assert await outer.manager.__aexit__(None, None, None) is None
        assert await outer.manager.__aenter__() is outer.manager
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() - before if is_ours(task)]


async def test_c03_pods_survive_a_restart_of_the_server(
    servers: Servers, kubelet: Kubelet, test_id: str
) -> None:
    async with servers.open() as outer:
        before = await run(outer, test_id)
        pod = kubelet.pod_of(test_id)
    async with servers.open() as outer:
        after = await wait_status(outer, test_id, ConversationStatus.RUNNING, 5)
        assert kubelet.pod_of(test_id) == pod
        assert (after.url, after.session_api_key) == (before.url, before.session_api_key)


async def test_c03_a_server_without_a_cluster_does_not_start(servers: Servers) -> None:
    broken = servers.kubeconfig.read_text().replace("127.0.0.1:", "127.0.0.1:1")
    wrong = servers.folder / "kubeconfig"
    wrong.touch(mode=0o600)
    wrong.write_text(broken)
    with pytest.raises(Exception, match=r".") as caught:
        async with servers.open(kubeconfig=str(wrong)):
            pass
    assert not isinstance(caught.value, AssertionError)


async def test_c03_a_server_without_rights_does_not_start(servers: Servers) -> None:
    with pytest.raises(Exception, match="conversations"):
        async with servers.open(namespace="kube-system"):
            pass


async def test_c03_what_is_asked_before_the_start_is_told_so(tmp_path: Path) -> None:
    manager, outer = new_instance(tmp_path)
    with pytest.raises(RuntimeError):
        await info_of(outer, "a")
