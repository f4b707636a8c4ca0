"""RuntimeTemplates of protocol OpenHandsV0, for pods that the rig's kubelet runs."""

import socket

from tests.openhands.rig.kubelet import SCHEDULER
from tests.rig.api import Api, Manifest
from tests.rig.manifests import EMPTY_DIR, PERSISTENT, a_template
from tests.rig.world import wait_accepted

WORKSPACES: dict[str, Manifest] = {
    "default": PERSISTENT,
    "scratch": EMPTY_DIR,
    "precious": {"emptyDir": {}},
}
"""By template: a volume that stays; one that a pause may lose; one that it may not."""


async def create_templates(api: Api) -> None:
    """All of them, accepted."""
    port = _port_of_all_addresses()
    for name, workspace in WORKSPACES.items():
        await api.create("runtimetemplates", v0_template(name, workspace, port))
    for name in WORKSPACES:
        await wait_accepted(api, name)


def v0_template(name: str, workspace: Manifest, port: int) -> Manifest:
    template = a_template(name, workspace, schedulerName=SCHEDULER)
    template["spec"] |= {"protocol": "OpenHandsV0", "port": port}
    return template


def _port_of_all_addresses() -> int:
    """A port that nobody has on any address of this machine."""
    with socket.create_server(("", 0)) as listener:
        return int(listener.getsockname()[1])
