"""
The house that all tests of this folder share: an operator, runtimes, servers, and what they talk to.

Runtimes live in a namespace of their own; the OpenHands servers, the model and the stores in another.
"""

import asyncio
import json
import secrets
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from conversations.api.labels import SESSION_KEY
from conversations.cluster.permissions import CLIENT_RULES
from tests.rig.api import Manifest
from tests.rig.in_cluster import FILES, a_config_map, a_server, apply
from tests.rig.kubectl import Kubectl
from tests.rig.operator import Operator
from tests.rig.outer import Outer
from tests.rig.samples import runtime_sample

REPOSITORY = Path(__file__).parents[3]
INSIDE = Path(__file__).parent / "inside"
LLM_STUB = REPOSITORY / "images/openhands-tests/llm_stub.py"

TESTS_IMAGE = "conversation-operator/openhands-tests:dev"
PYTHON = "/opt/openhands/bin/python"
CLIENT_ROLE = "conversation-operator-client"
BUCKET = "openhands"
LLM, REDIS, MOTO, GIT = "llm", "redis", "moto", "git"
LOCAL, CLI, SUDO = "openhands-v0", "openhands-v0-cli", "openhands-v0-sudo"
"""The samples of RuntimeTemplates: RUNTIME=local, RUNTIME=cli, and local with root at hand."""

LIST_STORE = """
import os
if os.environ["FILE_STORE"] == "local":
    for folder, _, files in os.walk(os.environ["FILE_STORE_PATH"]):
        print(*(os.path.join(folder, name) for name in files), sep="\\n")
else:
    import boto3
    s3 = boto3.client("s3", endpoint_url="http://" + os.environ["AWS_S3_ENDPOINT"])
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=os.environ["FILE_STORE_PATH"]):
        print(*(each["Key"] for each in page.get("Contents", ())), sep="\\n")
"""


@dataclass(frozen=True)
class Words:
    """Secrets that people entrust to OpenHands; none may be seen again anywhere."""

    llm_key: str = field(repr=False, default_factory=lambda: f"sk-{secrets.token_hex(16)}")
    git_token: str = field(repr=False, default_factory=lambda: f"ghp_{secrets.token_hex(16)}")
    secret: str = field(repr=False, default_factory=lambda: secrets.token_hex(16))


@dataclass(frozen=True)
class House:
    """Where things are."""

    kubectl: Kubectl
    operator: Operator
    runtimes: str
    """Namespace of the Conversations and their pods."""
    servers: str
    """Namespace of everything else."""
    words: Words

    def host(self, server: str) -> str:
        """The name that pods know a server by."""
        return f"{server}.{self.servers}.svc"

    async def address(self, server: str) -> str:
        """Its cluster address: this machine does not ask the cluster's DNS."""
        path = "jsonpath={.spec.clusterIP}"
        return await self.run("get", "service", server, "-n", self.servers, "-o", path)

    async def run(self, *args: str, input: str | None = None) -> str:
        """What kubectl prints."""
        return (await asyncio.to_thread(self.kubectl, *args, input=input)).stdout

    async def get(self, kind: str, *args: str) -> list[Manifest]:
        """Objects in the namespace of the runtimes."""
        listed = await self.run("get", kind, "-n", self.runtimes, "-o", "json", *args)
        items: list[Manifest] = json.loads(listed)["items"]
        return items

    async def conversation(self, sid: str) -> Manifest | None:
        """The Conversation of that session, if there is one."""
        found = [each for each in await self.get("conversations") if _session(each) == sid]
        assert len(found) < 2, f"{len(found)} Conversations of {sid}"
        return found[0] if found else None

    async def change_runtimes(self, outer: Outer, sample: str) -> None:
        """The conversations that this server starts from now on are made like that sample."""
        template = a_runtime(sample, outer.name)
        await asyncio.to_thread(apply, self.kubectl, self.runtimes, [template])

    async def make_bucket(self) -> None:
        # Its first request makes moto import what it needs.
        async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
            made = await client.put(f"http://{await self.address(MOTO)}:5000/{BUCKET}")
        assert made.status_code == 200, made.text

    async def stored(self, outer: Outer) -> list[str]:
        """Names of all files in a server's store."""
        pod = (await outer.pods())[0]["metadata"]["name"]
        return (await outer.kubectl("exec", pod, "--", PYTHON, "-c", LIST_STORE)).splitlines()

    async def belongings(self, conversation: Manifest) -> list[str]:
        """Pods, Secrets, claims and volumes of a Conversation, adopted by it or not yet."""
        name, uid = conversation["metadata"]["name"], conversation["metadata"]["uid"]
        named = [
            f"{each['kind']} {each['metadata']['name']}"
            for each in await self.get("pods,secrets,persistentvolumeclaims")
        ]
        volumes = json.loads(await self.run("get", "persistentvolumes", "-o", "json"))["items"]
        named += [f"volume of {each['spec']['claimRef']['name']}" for each in volumes]
        return [each for each in named if f"conv-{uid}" in each or f" {name}." in each]

    async def entrust(self, outer: Outer) -> None:
        """Give a server its settings and the user's secret."""
        settings = {
            "language": "en",
            "agent": "CodeActAgent",
            "llm_model": "openai/gpt-4o",
            "llm_api_key": self.words.llm_key,
            "llm_base_url": f"http://{self.host(LLM)}:8000/v1",
            "enable_default_condenser": False,
        }
        await outer.call("POST", "/settings", json=settings)
        secret = {"name": "GREETING", "description": "for tests", "value": self.words.secret}
        await outer.call("POST", "/secrets", json=secret, expect=201)

    async def check_no_secret_is_seen(self, *outers: Outer) -> None:
        """No key, token or secret is in a log of operator, servers and runtimes, event or object."""
        texts = {"operator": self.operator.log_text(), "metrics": await self.operator.metrics()}
        texts["objects"] = await self.run(
            "get", "conversations,events,pods", "-n", self.runtimes, "-o", "json"
        )
        for outer in outers:
            texts[outer.name] = await outer.logs()
        assert all(texts.values()), (
            f"nothing to look at: {sorted(k for k in texts if not texts[k])}"
        )
        for pod in await self.get("pods"):
            texts[pod["metadata"]["name"]] = await self._log(pod["metadata"]["name"])
        for kind, word in (await self._secret_words()).items():
            seen = [place for place, text in texts.items() if word in text]
            assert not seen, f"{kind} is in {seen}"

    async def _log(self, pod: str) -> str:
        arguments = ("logs", pod, "-n", self.runtimes, "--tail=-1")
        # One that has not started has none.
        return (await asyncio.to_thread(self.kubectl, *arguments, check=False)).stdout

    async def _secret_words(self) -> dict[str, str]:
        keys = {
            each["metadata"]["name"]: b64decode(each["data"][SESSION_KEY]).decode()
            for each in await self.get("secrets")
            if SESSION_KEY in each.get("data", {})
        }
        assert keys, "no session Secret to look for"
        return {**keys, **vars(self.words)}


def _session(conversation: Manifest) -> str:
    session: str = conversation["spec"].get("sessionID", conversation["metadata"]["name"])
    return session


def a_runtime(sample: str, name: str) -> Manifest:
    """A sample of OpenHands V0 by another name, on a volume and with hardly any CPU."""
    template = runtime_sample(sample, name)
    workspace = template["spec"]["workspace"]
    if workspace.pop("emptyDir", None):
        # Here files outlive pods, whatever the sample is for.
        del workspace["lossOnPause"]
        workspace["persistentVolumeClaim"] = {"size": "1Gi"}
    for container in template["spec"]["pod"]["spec"]["containers"]:
        container.setdefault("resources", {}).setdefault("requests", {})["cpu"] = "10m"
    return template


def client_role(servers: str, accounts: list[str]) -> list[Manifest]:
    """What the chart makes for `client.subjects`: exactly the rights of a client."""
    rules = [
        {"apiGroups": [rule.group], "resources": [rule.resource], "verbs": list(rule.verbs)}
        for rule in CLIENT_RULES
    ]
    api, name = "rbac.authorization.k8s.io", {"name": CLIENT_ROLE}
    subjects = [{"kind": "ServiceAccount", "name": each, "namespace": servers} for each in accounts]
    return [
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": name, "rules": rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": name,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": CLIENT_ROLE},
            "subjects": subjects,
        },
    ]


def things_inside() -> list[Manifest]:
    """The model (its pod also plays the Socket.IO user), Redis and S3."""
    model = {
        "llm_stub.py": LLM_STUB.read_text(),
        "socket_user.py": (INSIDE / "socket_user.py").read_text(),
    }
    s3 = [PYTHON, "-m", "moto.server", "-H", "0.0.0.0", "-p", "5000"]
    redis = ["redis-server", "--save", "", "--protected-mode", "no"]
    users = {name: (INSIDE / name).read_text() for name in ("header_config.py", "header_users.py")}
    return [
        *a_server(LLM, TESTS_IMAGE, [PYTHON, f"{FILES}/llm_stub.py"], 8000, model),
        *a_server(REDIS, TESTS_IMAGE, redis, 6379),
        *a_server(MOTO, TESTS_IMAGE, s3, 5000),
        a_config_map("users", users),
    ]


def furnish(kubectl: Kubectl, runtimes: str, servers: str, installations: list[str]) -> None:
    """Rights and a template for each installation; a model and stores for all of them."""
    made = [a_runtime(CLI, name) for name in installations]
    apply(kubectl, runtimes, [*made, *client_role(servers, installations)])
    apply(kubectl, servers, things_inside())
