"""
The CustomResourceDefinitions, built from the models.

`make generate` writes them to crds/ and into the chart; nobody edits those by hand.
"""

from typing import Any, NamedTuple

from conversations.api.conversation import METADATA_RULES, Conversation
from conversations.api.group import (
    CONVERSATION_KIND,
    CONVERSATIONS,
    GROUP,
    TEMPLATE_KIND,
    TEMPLATES,
    VERSION,
)
from conversations.api.meta import ApiModel
from conversations.api.structural import Place, Schema, translate
from conversations.api.template import RUNTIME_CONTAINER, RuntimeTemplate

CATEGORY = "conversation-operator"
"""`kubectl get conversation-operator` lists both kinds."""

TYPE_META = {
    "apiVersion": {"description": f"{GROUP}/{VERSION}.", "type": "string"},
    "kind": {"description": "Kind of the resource.", "type": "string"},
    # The API server describes metadata itself, and refuses anybody else's words.
    "metadata": {"type": "object"},
}


class Column(NamedTuple):
    """One column of `kubectl get`; those of priority 1 show with `-o wide`."""

    name: str
    path: str
    description: str
    type: str = "string"
    priority: int = 0


class Resource(NamedTuple):
    """What a CRD says beyond the fields of its model."""

    model: type[ApiModel]
    kind: str
    plural: str
    short_name: str
    columns: tuple[Column, ...]
    selectable_fields: tuple[str, ...] = ()
    root_rules: dict[str, Any] = {}


def _condition(kind: str, member: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{member}'


AGE = Column("Age", ".metadata.creationTimestamp", "Time since it was created.", "date")

CONVERSATION = Resource(
    model=Conversation,
    kind=CONVERSATION_KIND,
    plural=CONVERSATIONS,
    short_name="conv",
    columns=(
        Column("Phase", ".status.phase", "Summary of the conditions."),
        Column("Reason", _condition("Ready", "reason"), "Why it is Ready, or why not."),
        Column("User", ".spec.user", "Whose conversation it is."),
        Column("Template", ".spec.template", "RuntimeTemplate it is made from."),
        Column(
            "Startup ms", ".status.startupMilliseconds", "How long the start took.", type="integer"
        ),
        Column("Restarts", ".status.restarts", "Pods replaced in a row.", "integer", priority=1),
        Column("Mode", ".spec.mode", "Desired state.", priority=1),
        Column("URL", ".status.url", "Where the runtime answers.", priority=1),
        AGE,
    ),
    selectable_fields=(".spec.user", ".spec.template", ".status.phase"),
    root_rules=METADATA_RULES,
)

TEMPLATE = Resource(
    model=RuntimeTemplate,
    kind=TEMPLATE_KIND,
    plural=TEMPLATES,
    short_name="rtt",
    columns=(
        Column(
            "Accepted",
            _condition("Accepted", "status"),
            "Whether the API server would take a pod made from it.",
        ),
        Column("Protocol", ".spec.protocol", "What the runtime speaks."),
        Column(
            "Image",
            f'.spec.pod.spec.containers[?(@.name=="{RUNTIME_CONTAINER}")].image',
            "Image of the runtime container.",
        ),
        AGE,
    ),
    # A Conversation could not name it otherwise, nor a pod's label hold it.
    root_rules=METADATA_RULES,
)

RESOURCES = (CONVERSATION, TEMPLATE)


def build_crd(resource: Resource) -> dict[str, Any]:
    """The CustomResourceDefinition as a manifest; raises Untranslatable where the model cannot be one."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [resource.short_name],
                "categories": [CATEGORY],
            },
            "versions": [_build_version(resource)],
        },
    }


def _build_version(resource: Resource) -> dict[str, Any]:
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_build_column(column) for column in resource.columns],
    }
    if resource.selectable_fields:
        version["selectableFields"] = [{"jsonPath": path} for path in resource.selectable_fields]
    return {**version, "schema": {"openAPIV3Schema": build_schema(resource)}}


def _build_column(column: Column) -> dict[str, Any]:
    built = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    return {**built, "priority": column.priority} if column.priority else built


def build_schema(resource: Resource) -> Schema:
    """
    The schema of the whole object.

    A spec that may be absent defaults to {}: then the API server fills in its fields' own defaults,
    there always is a spec, and rules that compare it with the old one cannot be slipped past.
    """
    model = resource.model.model_json_schema(by_alias=True)
    place = Place(resource.kind, model.get("$defs", {}))
    spec, status = (
        translate(model["properties"][part], place.below(f".{part}")) for part in ("spec", "status")
    )
    required = "spec" in model.get("required", ())
    if not required:
        spec["default"] = {}
    status.pop("default", None)
    return {
        "description": " ".join(model["description"].split()),
        "type": "object",
        "properties": {**TYPE_META, "spec": spec, "status": status},
        **({"required": ["spec"]} if required else {}),
        **resource.root_rules,
    }
