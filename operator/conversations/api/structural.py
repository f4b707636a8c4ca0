"""
From pydantic's JSON schema to the structural schema that a CustomResourceDefinition may carry.

It translates the little that our models need and refuses the rest: a keyword passed on blindly is
one the API server may ignore, and then a bound that the model promises does not hold.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

Schema = dict[str, Any]

MAX_INT32 = 2**31 - 1
FORMATS = frozenset({"date-time"})
PRESERVE = "x-kubernetes-preserve-unknown-fields"

EVERYWHERE = frozenset({"type", "description", "title", "default", "x-kubernetes-validations"})
KEYWORDS = {
    "string": EVERYWHERE | {"enum", "const", "format", "minLength", "maxLength", "pattern"},
    "integer": EVERYWHERE | {"minimum", "maximum"},
    "boolean": EVERYWHERE,
    "array": EVERYWHERE
    | {"items", "minItems", "maxItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"},
    "object": EVERYWHERE
    | {"properties", "required", "additionalProperties", "minProperties", "maxProperties"}
    | {"x-kubernetes-map-type", PRESERVE},
}
ORDER = (
    *("description", "type", "format", "enum", "default", "minLength", "maxLength", "pattern"),
    *("minimum", "maximum", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type", PRESERVE),
    *("properties", "required", "items", "additionalProperties", "x-kubernetes-validations"),
)


class Untranslatable(ValueError):
    """A model says something that a structural schema cannot; the message names the field."""


class Place(NamedTuple):
    """Where in the model we are: the path for people, and the models it leads through."""

    path: str
    definitions: Mapping[str, Schema]
    models: frozenset[str] = frozenset()

    def below(self, name: str) -> "Place":
        return self._replace(path=self.path + name)

    def refuse(self, why: str) -> Untranslatable:
        return Untranslatable(f"{self.path}: {why}")


def translate(schema: Schema, place: Place) -> Schema:
    """The structural schema of the same values, bounded everywhere."""
    schema, place = _resolve(schema, place)
    kind = schema.get("type")
    if kind not in KEYWORDS:
        raise place.refuse(f"type {kind!r} has no place in a structural schema")
    if unknown := schema.keys() - KEYWORDS[kind]:
        raise place.refuse(f"cannot translate {', '.join(sorted(unknown))} of a {kind}")
    schema.pop("title", None)
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    if "default" in schema and (default := _without_empty(schema.pop("default"))) is not None:
        schema["default"] = default
    _TRANSLATE[kind](schema, place)
    return {key: schema[key] for key in ORDER if key in schema}


def _resolve(schema: Schema, place: Place) -> tuple[Schema, Place]:
    """Follow references, and take the type out of an Optional: in a CRD, absent says None."""
    schema = dict(schema)
    while "$ref" in schema or "anyOf" in schema:
        if "anyOf" in schema:
            members = [one for one in schema.pop("anyOf") if one != {"type": "null"}]
            if len(members) != 1:
                raise place.refuse("a union other than Optional")
            schema = {**members[0], **schema}
            continue
        model = schema.pop("$ref").rsplit("/", 1)[-1]
        if model in place.models:
            raise place.refuse(f"{model} contains itself")
        place = place._replace(models=place.models | {model})
        schema = {**place.definitions[model], **schema}
    return schema, place


def _without_empty(value: Any) -> Any:
    """A default as the API server should write it: no nulls, and nothing where nothing is meant."""
    if isinstance(value, dict):
        kept = {key: _without_empty(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner is not None} or None
    return None if value == [] else value


def _translate_string(schema: Schema, place: Place) -> None:
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if schema.get("format", "date-time") not in FORMATS:
        raise place.refuse(f"format {schema['format']!r} is not one the API server checks")
    if not schema.keys() & {"enum", "format", "maxLength"}:
        raise place.refuse("an unbounded string; give it max_length")


def _translate_integer(schema: Schema, place: Place) -> None:
    if "minimum" not in schema:
        raise place.refuse("an integer without a lower bound; give it ge")
    schema["format"] = "int32" if schema.get("maximum", MAX_INT32 + 1) <= MAX_INT32 else "int64"


def _translate_array(schema: Schema, place: Place) -> None:
    if "maxItems" not in schema:
        raise place.refuse("an unbounded list; give it max_length")
    schema["items"] = translate(schema.get("items", {}), place.below("[]"))


def _translate_object(schema: Schema, place: Place) -> None:
    values = schema.pop("additionalProperties", None)
    if schema.get(PRESERVE):
        return
    if properties := schema.get("properties"):
        if values is not None:
            raise place.refuse("an object has either named fields or free ones")
        schema["properties"] = {
            name: _translate_field(name, field, place) for name, field in properties.items()
        }
        return
    if not isinstance(values, dict) or not values:
        raise place.refuse("an object of anything; say so with " + PRESERVE)
    if "maxProperties" not in schema:
        raise place.refuse("an unbounded map; give it max_length")
    schema["additionalProperties"] = translate(values, place.below("{}"))


def _translate_field(name: str, field: Schema, place: Place) -> Schema:
    result = translate(field, place.below(f".{name}"))
    if not result.get("description"):
        raise place.below(f".{name}").refuse("no description for `kubectl explain`")
    return result


_TRANSLATE = {
    "string": _translate_string,
    "integer": _translate_integer,
    "boolean": lambda _schema, _place: None,
    "array": _translate_array,
    "object": _translate_object,
}
