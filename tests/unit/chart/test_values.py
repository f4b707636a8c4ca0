"""values.yaml, its schema and the README's table say the same; a typo is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rig.helm import ChartRefused, Helm, Rendering

CHART = Path(__file__).parents[3] / "charts" / "conversation-operator"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())

REFUSED = {
    "a workspace of no known kind": {"defaultTemplate": {"workspace": {"kind": "emptyDir"}}},
    "a quantity that is none": {"defaultTemplate": {"workspace": {"size": "10 GB"}}},
    "a relative mount path": {"defaultTemplate": {"workspace": {"mountPath": "workspace"}}},
    "a port out of range": {"defaultTemplate": {"port": 70000}},
    "a variable without a name": {"defaultTemplate": {"env": [{"value": "x"}]}},
    "no replica": {"operator": {"replicas": 0}},
    "a number as text": {"operator": {"workers": "32"}},
    "a digest that is none": {"operator": {"image": {"digest": "0123"}}},
    "an unknown log level": {"operator": {"log": {"level": "TRACE"}}},
    "a namespace that is no DNS label": {"runtimes": {"namespace": "Runtimes"}},
    "an address without a length": {"runtimes": {"egress": {"deny": ["10.0.0.1"]}}},
    "an egress rule to everywhere": {"runtimes": {"egress": {"allow": [{"ports": []}]}}},
    "a typo in an egress rule": {"runtimes": {"egress": {"allow": [{"to": [{"ipblock": {}}]}]}}},
    "no DNS": {"runtimes": {"egress": {"dns": {"peers": []}}}},
    "a template of no valid name": {"templates": {"My_Template": {"pod": {}}}},
    "a template without a pod": {"templates": {"small": {}}},
    "an unknown monitor": {"metrics": {"monitor": {"kind": "Probe"}}},
}


def closed_objects(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all objects that list their properties."""
    if "properties" in schema:
        yield path
        for name, inner in schema["properties"].items():
            yield from closed_objects(inner, (*path, name))


def leaves(
    values: dict[str, Any], schema: dict[str, Any], path: str = ""
) -> Iterator[tuple[str, Any, str]]:
    """(path, default, description) of each value that a user may set."""
    for name, value in values.items():
        inner = schema["properties"][name]
        if "properties" in inner:
            yield from leaves(value, inner, f"{path}{name}.")
        else:
            yield f"{path}{name}", value, inner["description"]


def test_a_typo_is_refused_at_every_level(helm: Helm) -> None:
    values: dict[str, Any] = {}
    for path in closed_objects(SCHEMA):
        target = values
        for name in path:
            target = target.setdefault(name, {})
        target["typpo"] = 1
    with pytest.raises(ChartRefused) as refusal:
        helm.render(values)
    for path in closed_objects(SCHEMA):
        where = "/".join(("", *path))
        assert f"at '{where}': additional properties 'typpo' not allowed" in str(refusal.value)


@pytest.mark.parametrize("values", REFUSED.values(), ids=REFUSED.keys())
def test_refused(helm: Helm, values: dict[str, Any]) -> None:
    with pytest.raises(ChartRefused, match="values don't meet the specifications of the schema"):
        helm.render(values)


def test_every_value_has_a_default_and_a_description() -> None:
    for path in closed_objects(SCHEMA):
        schema, values = SCHEMA, VALUES
        for name in path:
            schema, values = schema["properties"][name], values[name]
        expected = schema["properties"].keys() - {"global"}
        assert values.keys() == expected, ".".join(path)
        assert schema["additionalProperties"] is False
        assert all(inner.get("description") for inner in schema["properties"].values())


def test_the_readme_lists_every_value() -> None:
    rows = [
        line for line in (CHART / "README.md").read_text().splitlines() if line.startswith("| `")
    ]
    expected = []
    for path, default, description in leaves(VALUES, SCHEMA):
        shown = json.dumps(default)
        shown = f"`{shown}`" if len(shown) < 60 else "see values.yaml"
        expected.append(f"| `{path}` | {shown} | {description} |")
    assert rows == expected


def test_a_parent_chart_may_pass_global_values(helm: Helm) -> None:
    helm.render({"global": {"anything": 1}})


def test_crds_are_installed_and_kept(rendering: Rendering) -> None:
    crds = rendering.of_kind("CustomResourceDefinition")
    names = {crd["metadata"]["name"] for crd in crds}
    assert names == {
        "conversations.conversation-operator.io",
        "runtimetemplates.conversation-operator.io",
    }
    assert all(crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for crd in crds)


def test_crds_that_are_not_kept(helm: Helm) -> None:
    crds = helm.render({"crds": {"keep": False}}).of_kind("CustomResourceDefinition")
    assert len(crds) == 2
    assert not any(
        "helm.sh/resource-policy" in crd["metadata"].get("annotations", {}) for crd in crds
    )


def test_crds_off(helm: Helm) -> None:
    assert not helm.render({"crds": {"enabled": False}}).of_kind("CustomResourceDefinition")


def test_everything_namespaced_says_its_namespace(rendering: Rendering) -> None:
    cluster_wide = {"ClusterRole", "CustomResourceDefinition"}
    for manifest in rendering.manifests:
        if manifest["kind"] not in cluster_wide:
            assert manifest["metadata"]["namespace"] == "conversations", manifest["kind"]


def test_runtimes_namespace_is_made_on_request_and_stays(helm: Helm) -> None:
    values = {"runtimes": {"namespace": "runtimes", "createNamespace": True}}
    metadata = helm.render(values, namespace="system").find("Namespace", "runtimes")["metadata"]
    assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert metadata["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_releases_own_namespace_is_helms_to_make(helm: Helm) -> None:
    with pytest.raises(ChartRefused, match="createNamespace needs runtimes.namespace"):
        helm.render({"runtimes": {"createNamespace": True}})


def test_another_release_name_runs_through_all_names(helm: Helm) -> None:
    rendering = helm.render({"fullnameOverride": "agents"})
    names = [m["metadata"]["name"] for m in rendering.manifests]
    ours = [name for name in names if not name.endswith(".conversation-operator.io")]
    assert all("agents" in name for name in ours), ours
