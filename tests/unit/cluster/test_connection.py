"""Which cluster a connection goes to, and how that question fails."""

from pathlib import Path

import pytest

from conversations.cluster.connection import Connection
from conversations.core.errors import InvalidRequest

CONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, user: u, namespace: agents}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
"""


async def test_the_namespace_is_the_contexts(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(CONFIG)
    async with await Connection.open(kubeconfig=str(file)) as connection:
        assert connection.namespace == "agents"


@pytest.mark.parametrize(
    "text", ["", "{", "kind: Config", CONFIG.replace("name: here,", "name: x,")]
)
async def test_a_kubeconfig_that_names_no_cluster_is_an_error_of_ours(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(InvalidRequest, match="KUBECONFIG"):
        await Connection.open(kubeconfig=str(file))


async def test_an_unknown_context_is_an_error_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(CONFIG)
    with pytest.raises(InvalidRequest, match="elsewhere"):
        await Connection.open(kubeconfig=str(file), context="elsewhere")


async def test_a_missing_kubeconfig_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="KUBECONFIG"):
        await Connection.open(kubeconfig=str(tmp_path / "none"))
