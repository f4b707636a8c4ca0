"""Whatever happens, in whatever order: one live pod at most, and in the end the right one."""

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from conversations.api.labels import SESSION_KEY_HASH
from conversations.core.inputs import InputKind, input_hash
from conversations.core.observed import Pod
from conversations.core.restarts import RESTART_LIMIT
from tests.small_api.virtual_time import VirtualTimeLoop
from tests.unit.controller.simulated_operator import Fate, SimulatedOperator, come_to_rest
from tests.unit.controller.simulated_world import (
    CLAIMS,
    CONVERSATIONS,
    INPUTS,
    NAME,
    PODS,
    SECRETS,
    World,
    is_terminal,
    uid_label,
)
from tests.unit.core.samples import EPHEMERAL, LOSSY, a_template

WORKSPACES = {"claim": {"persistentVolumeClaim": {}}, "emptyDir": EPHEMERAL, "lossy": LOSSY}
WHO = st.sampled_from([0, 1])
FATES = st.sampled_from([Fate.ANSWERED] * 6 + list(Fate))


class Simulation(RuleBasedStateMachine):
    """Two operators without a Lease, one conversation, and everybody else who touches it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        asyncio.set_event_loop(self.loop)
        self.operators: list[SimulatedOperator] = []

    @initialize(
        workspace=st.sampled_from(sorted(WORKSPACES)), two=st.booleans(), inputs=st.booleans()
    )
    def begin(self, workspace: str, two: bool, inputs: bool) -> None:
        self.workspace, self.with_inputs = workspace, inputs
        protocol = "OpenHandsV0" if inputs else "AgentServer"
        template = a_template(workspace=WORKSPACES[workspace], protocol=protocol)
        self.world = World(self.loop, template)
        self.operators = [self.new_operator() for _ in range(1 + two)]
        self.create()

    def new_operator(self) -> SimulatedOperator:
        return SimulatedOperator(self.world)

    def operator(self, who: int) -> SimulatedOperator:
        return self.operators[who % len(self.operators)]

    def create(self) -> None:
        spec: dict[str, Any] = {"mode": "Running"}
        if self.with_inputs:
            kinds = (InputKind.FIRST, InputKind.SETTINGS)
            spec["inputs"] = {kind: self.world.write_input(kind, 0) for kind in kinds}
        self.world.store.create(CONVERSATIONS, {"metadata": {"name": NAME}, "spec": spec})

    # --- operators

    @rule(who=WHO)
    def look(self, who: int) -> None:
        self.operator(who).start_pass()

    @rule(who=WHO, fate=FATES)
    def step(self, who: int, fate: Fate) -> None:
        operator = self.operator(who)
        if operator.step(fate) and fate in (Fate.CRASHED_BEFORE, Fate.CRASHED_AFTER):
            self.operators[who % len(self.operators)] = self.new_operator()

    @rule(who=WHO, steps=st.integers(1, 12))
    def work(self, who: int, steps: int) -> None:
        operator = self.operator(who)
        operator.start_pass()
        for _ in range(steps):
            operator.step()

    @rule(
        who=WHO,
        path=st.sampled_from([CONVERSATIONS, PODS, SECRETS, INPUTS]),
        count=st.integers(1, 3),
    )
    def news(self, who: int, path: str, count: int) -> None:
        self.operator(who).deliver(path, count)

    @rule(who=WHO)
    def all_news(self, who: int) -> None:
        self.operator(who).deliver_all()

    @rule(who=WHO)
    def resync(self, who: int) -> None:
        self.operator(who).relist()

    @rule(seconds=st.sampled_from([0.1, 2.0, 15.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.advance(seconds)

    @rule(who=WHO)
    def one_has_its_way(self, who: int) -> None:
        """All goes well for a while, and the other operator hears nothing of it."""
        come_to_rest(self.world, [self.operator(who)], seconds=3)

    # --- people

    @precondition(lambda self: self.world.conversation is not None)
    @rule(mode=st.sampled_from(["Running", "Paused"]))
    def change_mode(self, mode: str) -> None:
        self.world.store.change(CONVERSATIONS, NAME, spec={"mode": mode})

    @precondition(lambda self: self.world.conversation is not None)
    @rule(value=st.sampled_from(["a", "b"]))
    def change_env(self, value: str) -> None:
        env = [{"name": "A", "value": value}]
        self.world.store.change(CONVERSATIONS, NAME, spec={"env": env})

    @precondition(lambda self: self.with_inputs and self.world.conversation is not None)
    @rule(content=st.integers(0, 2), crashes=st.booleans())
    def change_settings(self, content: int, crashes: bool) -> None:
        named = self.world.write_input(InputKind.SETTINGS, content)
        if not crashes:
            self.world.store.change(CONVERSATIONS, NAME, spec={"inputs": {"settings": named}})

    @rule(answers=st.booleans())
    def runtime(self, answers: bool) -> None:
        self.world.runtime_answers = answers

    @precondition(lambda self: self.world.conversation is not None)
    @rule()
    def delete(self) -> None:
        self.world.store.remove(CONVERSATIONS, NAME)

    @precondition(lambda self: self.world.conversation is None)
    @rule()
    def create_again(self) -> None:
        self.create()

    @precondition(lambda self: self.world.store.list(SECRETS))
    @rule(data=st.data())
    def delete_secret(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([s["metadata"]["name"] for s in self.secrets]))
        self.world.store.remove(SECRETS, name)

    @precondition(lambda self: self.world.store.list(CLAIMS))
    @rule()
    def delete_claim(self) -> None:
        self.world.store.remove(CLAIMS, self.world.store.list(CLAIMS)[0]["metadata"]["name"])

    @rule(full=st.booleans())
    def quota(self, full: bool) -> None:
        self.world.quota_is_full = full

    # --- the cluster

    @property
    def secrets(self) -> list[Any]:
        return self.world.store.list(SECRETS)

    @precondition(lambda self: self.world.pods)
    @rule(
        data=st.data(),
        what=st.sampled_from(["runs", "restarts", "fails", "vanishes", "is deleted", "is gone"]),
    )
    def pod(self, data: st.DataObject, what: str) -> None:
        pod = data.draw(st.sampled_from(self.world.pods))
        name, store = pod["metadata"]["name"], self.world.store
        if what == "runs" and not is_terminal(pod):
            self.world.run_pod(name)
        elif what == "restarts":
            self.world.restart_container(name)
        elif what == "fails":
            store.change(PODS, name, status={"phase": "Failed", "reason": "Evicted"})
        elif what == "vanishes" or (what == "is gone" and "deletionTimestamp" in pod["metadata"]):
            store.remove(PODS, name)
        elif what == "is deleted":
            store.delete(PODS, name, grace=True)

    @rule()
    def collect_garbage(self) -> None:
        self.world.collect_garbage()

    # --- what must hold

    @invariant()
    def one_live_pod_at_most(self) -> None:
        if self.operators:
            live = Counter(uid_label(p) for p in self.world.pods if not is_terminal(p))
            assert all(count == 1 for count in live.values())

    def teardown(self) -> None:
        try:
            if self.operators:
                self.ends_well()
        finally:
            for operator in self.operators:
                operator.die()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.settle()
            self.loop.close()
            asyncio.set_event_loop(None)

    def ends_well(self) -> None:
        """Once everybody lets it, the conversation becomes what its spec says, and rests there."""
        self.world.quota_is_full, self.world.runtime_answers = False, True
        if self.with_inputs and self.world.conversation is not None:
            self.start_again()
        come_to_rest(self.world, self.operators, seconds=3600)
        conversation = self.world.conversation
        if conversation is None:
            # An input that nobody had adopted yet is swept, an hour later.
            owned = [s for s in self.secrets if s["metadata"].get("ownerReferences")]
            left = [*self.world.pods, *owned, *self.world.store.list(CLAIMS)]
            assert not left, "children outlive their owner"
        else:
            self.matches_its_spec(conversation)
        self.world.writes.clear()
        for operator in self.operators:
            operator.relist()
        come_to_rest(self.world, self.operators, seconds=3600)
        assert not self.world.writes, f"writes at rest: {dict(self.world.writes)}"

    def start_again(self) -> None:
        """What is missing is written by whoever starts the conversation again."""
        first = self.world.write_input(InputKind.FIRST, 0)
        conversation = self.world.conversation
        assert conversation is not None and conversation["spec"]["inputs"]["first"] == first
        named = self.world.write_input(InputKind.SETTINGS, 7)
        self.world.store.change(CONVERSATIONS, NAME, spec={"inputs": {"settings": named}})

    def matches_its_spec(self, conversation: Any) -> None:
        status = conversation.get("status") or {}
        uid = conversation["metadata"]["uid"]
        pods = [pod for pod in self.world.pods if uid_label(pod) == uid]
        ready = next(c for c in status["conditions"] if c["type"] == "Ready")
        assert ready["observedGeneration"] == conversation["metadata"]["generation"]
        if conversation["spec"]["mode"] == "Paused":
            refused = self.workspace == "emptyDir" and bool(pods)
            assert refused or (not pods and status["phase"] == "Paused")
            return
        if status.get("restarts", 0) > RESTART_LIMIT and not pods:
            assert (ready["reason"], status["phase"]) == ("RestartLimitReached", "Failed")
            return
        assert ready["status"] == "True", (ready, len(pods))
        (pod,) = pods
        if self.with_inputs:
            self.was_told(pod, status)
        secret = self.world.secret_of(uid)
        assert secret is not None
        key_hash = secret["metadata"]["annotations"][SESSION_KEY_HASH]
        assert pod["metadata"]["annotations"][SESSION_KEY_HASH] == key_hash
        assert (status["podUID"], status["sessionKeyHash"]) == (pod["metadata"]["uid"], key_hash)

    def was_told(self, pod: Any, status: Any) -> None:
        run = msgspec.convert(pod, Pod).run
        assert status["initializedContainerID"] == run
        settings = self.world.store.get(SECRETS, f"{NAME}.settings")
        configured = next(c for c in status["conditions"] if c["type"] == "Configured")
        assert configured["status"] == "True"
        is_newest = self.world.told[run] == 7
        assert (status["appliedSettings"] == input_hash(settings["data"])) == is_newest
        assert configured["reason"] == ("InputsApplied" if is_newest else "SettingsChanged")


TestSimulation = pytest.mark.timeout(240)(Simulation.TestCase)
TestSimulation.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
