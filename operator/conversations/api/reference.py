"""The API reference for people, docs/api.md, rendered from what the API server enforces."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from conversations.api.crd import RESOURCES, Resource, build_crd
from conversations.api.group import API_VERSION
from conversations.api.structural import PRESERVE, Schema

INTRODUCTION = f"""\
# API reference

Generated from the models by `make generate`; do not edit.

Both kinds are namespaced and live in `{API_VERSION}`.
`kubectl explain conversation.spec` shows the same words.
"""


class Field(NamedTuple):
    """One row of a table: `env[].name` and what holds of it."""

    path: str
    schema: Schema
    required: bool


def render_reference() -> str:
    """The whole page, in Markdown."""
    return "\n".join([INTRODUCTION, *(_render_resource(resource) for resource in RESOURCES)])


def _render_resource(resource: Resource) -> str:
    crd = build_crd(resource)
    version = crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    parts = [
        f"## {resource.kind}\n",
        f"{schema['description']}\n",
        f"Plural `{resource.plural}`, short name `{resource.short_name}`.",
        *_render_selectable(version),
        _render_columns(version),
        *(
            f"### {part}\n\n{schema['properties'][part]['description']}\n\n"
            + _render_fields(schema["properties"][part])
            for part in ("spec", "status")
        ),
        _render_rules(schema),
    ]
    return "\n".join(parts)


def _render_selectable(version: dict[str, Any]) -> list[str]:
    names = [f"`{field['jsonPath'][1:]}`" for field in version.get("selectableFields", ())]
    return [f"Field selectors: {', '.join(names)}."] if names else []


def _render_columns(version: dict[str, Any]) -> str:
    columns = [
        [
            column["name"],
            "`-o wide`" if column.get("priority") else "always",
            column["description"],
        ]
        for column in version["additionalPrinterColumns"]
    ]
    return "\n" + _table(["column of `kubectl get`", "shown", "meaning"], columns)


def _render_fields(schema: Schema) -> str:
    rows = [
        [
            f"`{field.path}`" + (" (required)" if field.required else ""),
            _type_name(field.schema),
            _default(field.schema),
            ", ".join(_bounds(field.schema)),
            field.schema["description"],
        ]
        for field in walk(schema)
    ]
    return _table(["field", "type", "default", "bounds", "meaning"], rows)


def walk(schema: Schema, prefix: str = "") -> Iterator[Field]:
    """Every field below an object's schema, parents before children."""
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield Field(path, field, name in schema.get("required", ()))
        if "items" in field:
            yield from walk(field["items"], f"{path}[].")
        else:
            yield from walk(field, f"{path}.")


def _type_name(schema: Schema) -> str:
    match schema:
        case {"type": "array"}:
            return f"list of {_type_name(schema['items'])}s"
        case {"format": "date-time"}:
            return "time"
        case {"type": "object"} if schema.get(PRESERVE):
            return "free object"
        case _:
            return str(schema["type"])


def _default(schema: Schema) -> str:
    match schema.get("default"):
        case None:
            return ""
        case "":
            return "empty"
        case dict() as fields:
            return f"`{next(iter(fields))}`" if fields else ""
        case value:
            return f"`{value}`"


def _bounds(schema: Schema) -> Iterator[str]:
    if "enum" in schema:
        yield "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    for noun, least, most in (
        ("characters", "minLength", "maxLength"),
        ("entries", "minItems", "maxItems"),
        ("", "minimum", "maximum"),
    ):
        yield from _range(noun, schema.get(least), schema.get(most))
    if "pattern" in schema:
        yield f"`{schema['pattern']}`"
    yield from _range("characters each", None, schema.get("items", {}).get("maxLength"))


def _range(noun: str, least: int | None, most: int | None) -> Iterator[str]:
    if most is None:
        bound = "" if least is None else f"at least {least}"
    else:
        bound = f"at most {most}" if least is None else f"{least} to {most}"
    if bound:
        yield f"{bound} {noun}".rstrip()


def _render_rules(schema: Schema) -> str:
    sentences = [f"* {rule['message']}" for rule in _rules(schema)]
    return "\n".join(["### The API server also insists", "", *sentences, ""]) if sentences else ""


def _rules(schema: Schema) -> Iterator[dict[str, str]]:
    yield from schema.get("x-kubernetes-validations", ())
    for inner in (*schema.get("properties", {}).values(), schema.get("items", {})):
        if inner:
            yield from _rules(inner)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
