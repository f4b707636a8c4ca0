"""Who may do what once the chart is installed, as the API server's own authorizer sees it."""

from conversations.api.group import GROUP
from tests.e2e.chart.release import VALUES, Release
from tests.rig.helm import RELEASE
from tests.rig.waiting import eventually

CONVERSATIONS = f"conversations.{GROUP}"
TEMPLATES = f"runtimetemplates.{GROUP}"


async def test_people_with_edit_may_use_conversations_and_nothing_more(release: Release) -> None:
    """`edit` and `view` are the cluster's own roles, which the chart adds to."""
    await release.helm("install", VALUES)
    for role in ("edit", "view"):
        release.kubectl(
            *("create", "rolebinding", role, f"--clusterrole={role}", f"--user=may-{role}"),
            *("-n", release.namespace),
        )
    await eventually(lambda: release.may("may-edit", "create", CONVERSATIONS), 30, "aggregation")
    assert release.may("may-view", "watch", CONVERSATIONS)
    assert not release.may("may-view", "create", CONVERSATIONS)
    assert not release.may("may-edit", "patch", f"{CONVERSATIONS}/status")
    assert not release.may("may-edit", "update", TEMPLATES)
    await release.helm("uninstall")


async def test_the_operator_may_live_apart_from_its_runtimes(
    release: Release, runtimes: str
) -> None:
    await release.helm("install", {**VALUES, "runtimes": {"namespace": runtimes}})
    there = release.of_namespace(runtimes)
    there.start("hello")
    await eventually(
        lambda: (there.get("conversation", "hello") or {}).get("status", {}).get("podName"), 60
    )
    assert there.pod_of("hello")["metadata"]["namespace"] == runtimes
    assert there.get("lease", RELEASE) is not None

    client = f"system:serviceaccount:{release.namespace}:{RELEASE}-client"
    assert there.may(client, "create", CONVERSATIONS)
    assert there.may(client, "get", "secrets")
    assert not there.may(client, "list", "secrets")
    assert not there.may(client, "create", "pods")
    assert not release.may(client, "get", "secrets")
    operator = f"system:serviceaccount:{release.namespace}:{RELEASE}"
    assert there.may(operator, "create", "pods")
    assert not release.may(operator, "create", "pods")

    there.kubectl("delete", "conversations", "--all", "-n", runtimes)
    await release.helm("uninstall")
