"""What the two CRDs promise, whatever their fields are."""

from typing import Any

import pytest

from conversations.api.crd import CONVERSATION, RESOURCES, TEMPLATE, Resource, build_crd
from conversations.api.reference import walk
from conversations.api.structural import Schema

BOTH = pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)


def schema_of(resource: Resource) -> Schema:
    schema: Schema = version_of(resource)["schema"]["openAPIV3Schema"]
    return schema


def version_of(resource: Resource) -> dict[str, Any]:
    (version,) = build_crd(resource)["spec"]["versions"]
    return dict(version)


@BOTH
def test_every_field_says_what_it_is(resource: Resource) -> None:
    fields = [field for field in walk(schema_of(resource)) if field.path != "metadata"]
    unsaid = [field.path for field in fields if not field.schema["description"].endswith(".")]
    assert unsaid == []


@BOTH
def test_every_rule_names_its_field(resource: Resource) -> None:
    messages = [rule["message"] for rule in rules_of(schema_of(resource))]
    assert messages
    assert [text for text in messages if not text.startswith(("spec.", "metadata."))] == []


def rules_of(schema: Schema) -> list[dict[str, str]]:
    inner = [*schema.get("properties", {}).values()]
    inner += [schema["items"]] if "items" in schema else []
    return [
        *schema.get("x-kubernetes-validations", []),
        *(rule for one in inner for rule in rules_of(one)),
    ]


@BOTH
def test_columns_and_selectors_lead_to_fields(resource: Resource) -> None:
    """A misspelt path is not refused by the API server: the column just stays empty."""
    known = {field.path for field in walk(schema_of(resource))}
    paths = [column.path.split("[")[0] for column in resource.columns]
    for path in (*paths, *resource.selectable_fields):
        parent = path.removeprefix(".")
        assert parent in known or parent.startswith(("metadata.", "spec.pod.")), path


def test_there_always_is_a_spec_to_compare_with() -> None:
    """Without the default, an object made without a spec could be given any of the immutable fields."""
    spec = schema_of(CONVERSATION)["properties"]["spec"]
    assert spec["default"] == {}
    assert "spec" in schema_of(TEMPLATE)["required"]


@pytest.mark.parametrize("field", ["template", "sessionID", "user"])
def test_immutable(field: str) -> None:
    """Set, changed and removed: `has` on both sides, or unset → set passes."""
    rules = schema_of(CONVERSATION)["properties"]["spec"]["x-kubernetes-validations"]
    (rule,) = [one["rule"] for one in rules if f"spec.{field} " in one["message"]]
    assert f"has(self.{field}) == has(oldSelf.{field})" in rule


@BOTH
def test_status_has_no_default(resource: Resource) -> None:
    """Whatever a user sends as status is dropped at create; a default would only be stored."""
    assert "default" not in schema_of(resource)["properties"]["status"]
