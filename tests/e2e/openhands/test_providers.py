"""A git provider's token: the runtime has to reach the provider, or it takes none."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.openhands.house import GIT, INSIDE, PYTHON, TESTS_IMAGE, House
from tests.e2e.openhands.talk import Talk, say_hello
from tests.rig.api import Manifest
from tests.rig.in_cluster import FILES, a_config_map, a_server, apply, pods_ready
from tests.rig.outer import Outer
from tests.rig.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

CERTIFICATES = "certificates"
REJECTED_SECONDS = 60
TRUST = f"/{CERTIFICATES}/ca.crt"


@pytest_asyncio.fixture(loop_scope="session")
async def trusting(house: House, alone: Outer, tmp_path: Path) -> AsyncIterator[Outer]:
    """The server, trusting a GitHub of ours, whose token it has been given."""
    certificate, key = make_certificate(tmp_path, house.host(GIT))
    files = {"tls.crt": certificate, "tls.key": key, "token": house.words.git_token}
    files["git_stub.py"] = (INSIDE / "git_stub.py").read_text()
    command = [PYTHON, f"{FILES}/git_stub.py"]
    bundle = a_config_map(CERTIFICATES, {"ca.crt": certificate})
    manifests = a_server(GIT, TESTS_IMAGE, command, 8443, files)
    # Who is not root may not listen on the port that OpenHands asks.
    manifests[-1]["spec"]["ports"] = [{"port": 443, "targetPort": 8443}]
    apply(house.kubectl, house.servers, [*manifests, bundle])
    apply(house.kubectl, house.runtimes, [bundle])
    await pods_ready(house.kubectl, house.servers, [GIT])
    await trust(house, alone)
    token = {"token": house.words.git_token, "user_id": None, "host": house.host(GIT)}
    tokens = {"provider_tokens": {"github": token}}
    await alone.call("POST", "/add-git-providers", json=tokens)
    yield alone
    await alone.call("POST", "/unset-provider-tokens")


async def test_rejected_without_egress_accepted_with(house: House, trusting: Outer) -> None:
    refused = await say_hello(trusting, None)
    ready = await condition(house, refused, "Ready", "ProvidersRejected")
    assert ready["status"] == "False"
    assert (await refused.info())["status"] == "ERROR"
    await house.check_no_secret_is_seen(trusting)
    await refused.delete()

    await let_runtimes_trust(house, trusting)
    accepted = await say_hello(trusting, None)
    await accepted.running()
    configured = await condition(house, accepted, "Configured", "InputsApplied")
    assert configured["status"] == "True"
    await house.check_no_secret_is_seen(trusting)
    await accepted.delete()


async def condition(house: House, talk: Talk, kind: str, reason: str) -> Manifest:
    """The condition once it has that reason; within a minute of the pod's start."""
    seen: list[object] = []
    began: list[float] = []

    async def there() -> Manifest:
        await asyncio.sleep(0.5)
        conversation = await house.conversation(talk.sid) or {}
        conditions = conversation.get("status", {}).get("conditions", [])
        seen[:] = [(each["type"], each["reason"], each["message"]) for each in conditions]
        found = {each["type"]: each for each in conditions}
        if found.get("Ready", {}).get("reason") == "Configuring" and not began:
            began.append(time.monotonic())
        wanted: Manifest = found.get(kind, {})
        return wanted if wanted.get("reason") == reason else {}

    found: Manifest = await eventually(there, 240, lambda: str(seen))
    assert not began or time.monotonic() - began[0] < REJECTED_SECONDS
    return found


async def trust(house: House, outer: Outer) -> None:
    """Mount the bundle into the server, as the docs tell; it restarts."""
    container = {"name": "server", **_trusting()}
    await outer.kubectl(
        *("patch", "deployment", outer.name, "--type=strategic", "-p"),
        json.dumps({"spec": {"template": {"spec": {"containers": [container], **_bundle()}}}}),
    )
    await outer.ready()


async def let_runtimes_trust(house: House, outer: Outer) -> None:
    """The same for the runtimes that start from now on."""
    name = ("runtimetemplate", outer.name, "-n", house.runtimes)
    template = json.loads(await house.run("get", *name, "-o", "json"))
    spec = template["spec"]["pod"]["spec"]
    for key, value in _trusting().items():
        spec["containers"][0].setdefault(key, []).extend(value)
    spec.setdefault("volumes", []).extend(_bundle()["volumes"])
    patch = json.dumps({"spec": {"pod": {"spec": spec}}})
    await house.run("patch", *name, "--type=merge", "-p", patch)


def _trusting() -> dict[str, list[Manifest]]:
    return {
        "env": [{"name": "SSL_CERT_FILE", "value": TRUST}],
        "volumeMounts": [{"name": CERTIFICATES, "mountPath": f"/{CERTIFICATES}"}],
    }


def _bundle() -> dict[str, list[Manifest]]:
    return {"volumes": [{"name": CERTIFICATES, "configMap": {"name": CERTIFICATES}}]}


def make_certificate(folder: Path, host: str) -> tuple[str, str]:
    """A certificate for that host, which is its own authority, and its key."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=git", "-addext", f"subjectAltName=DNS:{host}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate.read_text(), key.read_text()
