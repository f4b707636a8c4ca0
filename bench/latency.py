"""What the operator adds to the time that a bare pod takes to become Ready."""

import copy
from functools import partial

from tests.rig.api import Api, Manifest
from tests.rig.manifests import a_conversation
from tests.rig.observe import children, wait_ready

from bench.driver import burst, milliseconds, open_loop, sightings

PER_SECOND = 20.0
ROUNDS = 4
PER_ROUND = 100
BURST = 300
BURST_CONNECTIONS = 50

Latencies = dict[str, dict[str, float]]


async def bare_pod(api: Api) -> Manifest:
    """A pod exactly like the runtime's, that is nobody's: the floor is measured with it."""
    await api.create("conversations", a_conversation("sample"))
    sample = await wait_ready(api, "sample")
    pod = (await children(api, sample["metadata"]["uid"]))["pods"][0]
    spec = copy.deepcopy(pod["spec"])
    for assigned in ("nodeName", "tolerations", "priority", "preemptionPolicy"):
        spec.pop(assigned, None)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": spec}


async def measure_pace(api: Api, pod: Manifest) -> Latencies:
    """At 20 a second, bare pods and conversations in turn, so that both meet the same machine."""
    found: dict[str, list[float]] = {"pods": [], "conversations": []}
    for number in range(ROUNDS):
        for resource, values in found.items():
            names = [f"pace-{number}-{index}" for index in range(PER_ROUND)]
            async with sightings(api, resource) as seen:
                await open_loop(names, PER_SECOND, partial(create, api, resource, pod), seen)
                values.extend(seen.latencies())
    return {resource: milliseconds(sorted(values)) for resource, values in found.items()}


async def measure_burst(api: Api, pod: Manifest) -> dict[str, float]:
    """Seconds until the last of 300 is Ready, asked for all at once."""
    found = {}
    for resource in ("pods", "conversations"):
        names = [f"burst-{index}" for index in range(BURST)]
        async with sightings(api, resource) as seen:
            send = partial(create, api, resource, pod)
            found[resource] = await burst(names, BURST_CONNECTIONS, send, seen)
    return found


async def create(api: Api, resource: str, pod: Manifest, name: str) -> None:
    manifest = {**pod, "metadata": {"name": name}} if resource == "pods" else a_conversation(name)
    await api.create(resource, manifest)
