"""The clusters that tests run against, and the guard that keeps them away from any other."""

import base64
import os
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CONTEXT_VARIABLE = "CONVERSATION_OPERATOR_TEST_CONTEXT"


class ClusterRefused(Exception):
    """There is no cluster that these tests may touch; the message says what to do."""


@dataclass(frozen=True)
class Cluster:
    """One cluster, by the kubeconfig of its admin."""

    kubeconfig: Path
    server: str
    tls: ssl.SSLContext | None
    """With the admin's client certificate, if that is how the admin logs in."""
    anonymous_tls: ssl.SSLContext | None
    token: str | None
    authority: bytes | None = None
    namespace: str = "default"

    def entry(self) -> dict[str, str]:
        """The server as a kubeconfig names it, without credentials."""
        if self.authority is None:
            return {"server": self.server}
        data = base64.b64encode(self.authority).decode()
        return {"server": self.server, "certificate-authority-data": data}


def cache_directory() -> Path:
    """Where binaries and the state of running clusters live, outside the repository."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CONVERSATION_OPERATOR_CACHE") or f"{base}/conversation-operator")


def find_kubeconfig(variant: str, make_target: str) -> Path:
    """
    The admin kubeconfig of our own cluster, or of the one that the user names.

    A kubeconfig's current context may be somebody's production: without a name it is refused.
    """
    named = os.environ.get(CONTEXT_VARIABLE)
    own_context = f"conversation-operator-{variant}"
    if named and named != own_context:
        return _select_context(Path(os.environ.get("KUBECONFIG") or "~/.kube/config"), named)
    path = cache_directory() / "run" / variant / "admin.kubeconfig"
    if not path.exists():
        raise ClusterRefused(f"no {variant} cluster is up: run `make {make_target}`")
    current = yaml.safe_load(path.read_text()).get("current-context")
    if current != own_context:
        raise ClusterRefused(f"{path} points at context {current!r}, not at {own_context!r}")
    return path


def _select_context(path: Path, context: str) -> Path:
    config = yaml.safe_load(path.expanduser().read_text())
    if context not in [c["name"] for c in config.get("contexts", [])]:
        raise ClusterRefused(f"{CONTEXT_VARIABLE} names {context!r}, which {path} does not have")
    selected = Path(tempfile.mkdtemp(prefix="conversation-operator-")) / "kubeconfig"
    selected.touch(mode=0o600)
    selected.write_text(yaml.safe_dump({**config, "current-context": context}))
    return selected


def load_cluster(kubeconfig: Path) -> Cluster:
    """Read server and credentials of the current context."""
    config = yaml.safe_load(kubeconfig.read_text())
    context = _entry(config, "contexts", config["current-context"])["context"]
    server = _entry(config, "clusters", context["cluster"])["cluster"]
    user = _entry(config, "users", context["user"])["user"]
    folder = kubeconfig.parent
    return Cluster(
        kubeconfig=kubeconfig,
        server=server["server"].rstrip("/"),
        tls=_tls(server, user, folder),
        anonymous_tls=_tls(server, {}, folder),
        token=user.get("token"),
        authority=_pem(server, "certificate-authority", folder),
        namespace=context.get("namespace", "default"),
    )


def _entry(config: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    return next(entry for entry in config[kind] if entry["name"] == name)


def _tls(server: dict[str, Any], user: dict[str, Any], folder: Path) -> ssl.SSLContext | None:
    if server["server"].startswith("http://"):
        return None
    authority = _pem(server, "certificate-authority", folder)
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if certificate := _pem(user, "client-certificate", folder):
        _load_client_certificate(tls, certificate + (_pem(user, "client-key", folder) or b""))
    return tls


def _pem(section: dict[str, Any], field: str, folder: Path) -> bytes | None:
    if data := section.get(f"{field}-data"):
        return base64.b64decode(data)
    return (folder / section[field]).read_bytes() if section.get(field) else None


def _load_client_certificate(tls: ssl.SSLContext, pem: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        tls.load_cert_chain(file.name)
