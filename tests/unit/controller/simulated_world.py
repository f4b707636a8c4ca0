"""One conversation's API server, and what people, kubelet and the garbage collector do to it."""

from collections import Counter, deque
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from conversations.api.labels import CONVERSATION_UID, SESSION_KEY_HASH
from conversations.cluster import paths
from conversations.core.attempt import Outcome
from conversations.core.declared import Declared
from conversations.core.errors import RuntimeUnavailable
from conversations.core.inputs import InputKind, build_input, document_data, input_hash
from conversations.core.observed import Pod
from conversations.core.template import Template
from tests.small_api.store import Manifest, Refused, Store
from tests.small_api.virtual_time import VirtualTimeLoop

NAMESPACE = "ns"
NAME = "chat"
CONVERSATIONS = paths.conversations(NAMESPACE)
PODS = paths.core("pods", NAMESPACE)
SECRETS = paths.core("secrets", NAMESPACE)
INPUTS = f"{SECRETS}?inputs"
"""The watch of the Secrets with inputs: of the same collection as the other."""
CLAIMS = paths.core("persistentvolumeclaims", NAMESPACE)
EVENTS = paths.core("events", NAMESPACE)
EPOCH = datetime(2026, 3, 1, tzinfo=UTC)


class Request(NamedTuple):
    """What an operator asks of the API server."""

    method: str
    path: str
    query: Any
    body: Any

    @property
    def word(self) -> str:
        resource = self.path.partition(f"/namespaces/{NAMESPACE}/")[2].split("/")[0]
        return f"{self.method} {resource}"


class World:
    """The API server with what people and kubelet do to its objects."""

    def __init__(self, loop: VirtualTimeLoop, template: Template) -> None:
        self.loop = loop
        self.template: Template | None = template
        self.store = Store()
        self.quota_is_full = False
        self.runtime_answers = True
        self.told: dict[str, int] = {}
        self.writes: Counter[str] = Counter()
        self.trace: deque[str] = deque(maxlen=100)

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.loop.time())

    @property
    def conversation(self) -> Manifest | None:
        return self.store.objects.get((CONVERSATIONS, NAME))

    @property
    def pods(self) -> list[Manifest]:
        return self.store.list(PODS)

    def secret_of(self, uid: str) -> Manifest | None:
        return self.store.objects.get((SECRETS, f"conv-{uid}"))

    def answer(self, request: Request) -> Any:
        """What the API server does with a request."""
        collection, _, rest = request.path.partition(f"/namespaces/{NAMESPACE}/")
        resource, name = (*rest.split("/"), "", "")[:2]
        collection = f"{collection}/namespaces/{NAMESPACE}/{resource}"
        self.trace.append(request.word)
        if request.method != "GET" and resource != "events":
            self.writes[request.word] += 1
        if request.method == "GET":
            if name:
                return self.store.get(collection, name)
            items = self.store.list(collection, (request.query or {}).get("labelSelector", ""))
            return {"metadata": {"resourceVersion": str(self.store.version)}, "items": items}
        if request.method == "POST":
            if resource == "pods" and self.quota_is_full:
                raise Refused(403, "Forbidden", "pods is forbidden: exceeded quota: q")
            return self.store.create(collection, request.body)
        if request.method == "PATCH":
            return self.store.patch(collection, name, request.body)
        return self.store.delete(
            collection, name, uid=request.body["preconditions"]["uid"], grace=self._has_grace(name)
        )

    def _has_grace(self, name: str) -> bool:
        pod = self.store.get(PODS, name)
        return bool((pod.get("spec") or {}).get("nodeName")) and not is_terminal(pod)

    # --- whoever starts conversations, and what runs in the pod

    def write_input(self, kind: InputKind, content: int) -> str:
        """As the client does: what belongs to a predecessor goes first."""
        secret = build_input(NAME, kind, document_data({"settings": content}))
        name = secret["metadata"]["name"]
        old = self.store.objects.get((SECRETS, name))
        conversation = self.conversation
        uid = None if conversation is None else conversation["metadata"]["uid"]
        owners = [] if old is None else old["metadata"].get("ownerReferences") or []
        if any(owner["uid"] != uid for owner in owners):
            self.store.remove(SECRETS, name)
            old = None
        if old is None:
            self.store.create(SECRETS, secret)
        elif kind is not InputKind.FIRST:
            annotations = secret["metadata"]["annotations"]
            self.store.change(
                SECRETS, name, data=secret["data"], metadata={"annotations": annotations}
            )
        return input_hash(self.store.get(SECRETS, name)["data"])

    async def tell(self, pod: Pod, key: str, declared: Declared) -> Outcome:
        if not self.runtime_answers:
            raise RuntimeUnavailable("so the test wants")
        assert declared.first is not None and declared.settings is not None
        self.told[pod.run] = declared.settings["settings"]
        return Outcome(configured=True, told=True)

    # --- kubelet, scheduler, garbage collector

    def run_pod(self, name: str) -> None:
        status = {
            "phase": "Running",
            "podIP": "10.0.0.9",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [_container(0)],
        }
        self.store.change(PODS, name, spec={"nodeName": "node-1"}, status=status)

    def restart_container(self, name: str) -> None:
        """What was told to its process is gone with it."""
        statuses = (self.store.get(PODS, name).get("status") or {}).get("containerStatuses")
        if statuses:
            again = _container(statuses[0]["restartCount"] + 1)
            self.store.change(PODS, name, status={"containerStatuses": [again]})

    def collect_garbage(self) -> None:
        owners = {m["metadata"]["uid"] for m in self.store.list(CONVERSATIONS)}
        for collection in (PODS, SECRETS, CLAIMS):
            for manifest in self.store.list(collection):
                meta = manifest["metadata"]
                references = meta.get("ownerReferences") or []
                if references and not any(r["uid"] in owners for r in references):
                    grace = collection == PODS and self._has_grace(meta["name"])
                    self.store.delete(collection, meta["name"], grace=grace)

    def work(self) -> bool:
        """What a healthy cluster does by itself; whether there was anything."""
        before = self.store.version
        self.collect_garbage()
        for pod in self.pods:
            name = pod["metadata"]["name"]
            if "deletionTimestamp" in pod["metadata"]:
                self.store.remove(PODS, name)
            elif not is_terminal(pod) and self._can_run(pod):
                self.run_pod(name)
        return self.store.version != before

    def is_well(self, pod: Manifest) -> bool:
        """It lives, and holds the key that is valid."""
        secret = self.secret_of(uid_label(pod))
        leaves = is_terminal(pod) or "deletionTimestamp" in pod["metadata"]
        return not leaves and secret is not None and _key(secret) == _key(pod)

    def _can_run(self, pod: Manifest) -> bool:
        return (SECRETS, pod["metadata"]["name"]) in self.store.objects


def _container(restarts: int) -> Manifest:
    running: Manifest = {"running": {}}
    return {"name": "runtime", "ready": True, "restartCount": restarts, "state": running}


def is_terminal(pod: Manifest) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def _key(manifest: Manifest) -> str:
    return str(manifest["metadata"]["annotations"][SESSION_KEY_HASH])


def uid_label(manifest: Manifest) -> str:
    return str((manifest["metadata"].get("labels") or {}).get(CONVERSATION_UID, ""))
