"""The image and the sample for agents that may become root in their container."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.openhands.house import SUDO, a_runtime
from tests.rig.api import Api
from tests.rig.cluster import Cluster
from tests.rig.kubectl import Kubectl
from tests.rig.manifests import a_conversation
from tests.rig.namespaces import BASELINE, fresh_namespace
from tests.rig.observe import wait_ready
from tests.rig.world import open_world, wait_accepted

BOOT_SECONDS = 300
# As apt and dpkg do: a file below /usr, an owner other than root, an account of the system's own.
BE_ROOT = """
set -e
test "$(id -u)" = 10001
sudo -n sh -c 'echo by root >/usr/bin/made; chown man:man /usr/bin/made; useradd --system other'
stat -c %U /usr/bin/made
id -un other
sudo -n apt-get --version >/dev/null
"""


@pytest.fixture
def namespace(kubectl: Kubectl, crds: None) -> Iterator[str]:
    """A fresh namespace whose pods may raise their privileges."""
    yield from fresh_namespace(kubectl, BASELINE)


@pytest.mark.timeout(600)
async def test_an_agent_may_become_root_where_the_namespace_allows_it(
    cluster: Cluster, kubectl: Kubectl, api: Api, tmp_path: Path
) -> None:
    async with open_world(cluster, api, tmp_path) as world:
        await api.create("runtimetemplates", a_runtime(SUDO, "sudo"))
        await (await world.add_operator()).start()
        await wait_accepted(api, "sudo")
        await api.create("conversations", a_conversation(template="sudo"))
        ready = await wait_ready(api, "talk", BOOT_SECONDS)
        pod = ready["status"]["podName"]
        done = kubectl("exec", pod, "-n", api.namespace, "--", "bash", "-c", BE_ROOT)
        assert done.stdout.split() == ["man", "other"]
