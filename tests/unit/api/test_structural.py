"""The generator translates what a CRD can promise, and refuses the rest by name of the field."""

from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from conversations.api.structural import Place, Schema, Untranslatable, translate


def schema_of(annotation: Any) -> Schema:
    """The structural schema of one described field of that type, beneath `Thing.field`."""

    class Thing(BaseModel):
        field: annotation = Field(description="A field.")

    return schema_of_model(Thing)["properties"]["field"]


def schema_of_model(model: type[BaseModel]) -> Schema:
    document = model.model_json_schema()
    definitions = document.pop("$defs", {})
    return translate(document, Place(model.__name__, definitions))


class Node(BaseModel):
    """One of a tree."""

    children: Annotated[list["Node"], Field(max_length=2, description="More.")]


class Undescribed(BaseModel):
    """A model with a field that says nothing."""

    count: Annotated[int, Field(ge=0)]


class Closed(BaseModel, extra="forbid"):
    """A model that refuses unknown fields, which a CRD cannot."""

    count: Annotated[int, Field(ge=0, description="How many.")]


@pytest.mark.parametrize(
    ("annotation", "sentence"),
    [
        (str, "Thing.field: an unbounded string"),
        (str | None, "Thing.field: an unbounded string"),
        (list[bool], "Thing.field: an unbounded list"),
        (Annotated[list[str], Field(max_length=3)], "Thing.field[]: an unbounded string"),
        (Annotated[list[Any], Field(max_length=3)], "Thing.field[]: type None has no place"),
        (dict[str, bool], "Thing.field: an unbounded map"),
        (Annotated[dict[str, str], Field(max_length=3)], "Thing.field{}: an unbounded string"),
        (dict[str, Any], "Thing.field: an object of anything"),
        (int, "Thing.field: an integer without a lower bound"),
        (float, "Thing.field: type 'number' has no place"),
        (bool | Annotated[str, Field(max_length=3)], "Thing.field: a union other than Optional"),
        (bool | Annotated[int, Field(ge=0)] | None, "Thing.field: a union other than Optional"),
        (Any, "Thing.field: type None has no place"),
        (None, "Thing.field: type 'null' has no place"),
        (Annotated[int, Field(ge=0, multiple_of=2)], "Thing.field: cannot translate multipleOf"),
        (Annotated[int, Field(gt=0)], "Thing.field: cannot translate exclusiveMinimum"),
        (Annotated[set[bool], Field(max_length=3)], "Thing.field: cannot translate uniqueItems"),
        (tuple[bool, bool], "Thing.field: cannot translate prefixItems"),
        (bytes, "Thing.field: format 'binary' is not one"),
        (Literal["a", 1], "Thing.field: type None has no place"),
        (Node, "Thing.field.children[]: Node contains itself"),
        (Undescribed, "Thing.field.count: no description"),
        (Closed, "Thing.field: an object has either named fields or free ones"),
    ],
)
def test_refuses(annotation: Any, sentence: str) -> None:
    with pytest.raises(Untranslatable) as refusal:
        schema_of(annotation)
    assert str(refusal.value).startswith(sentence)


DESCRIBED = {"description": "A field."}


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (bool, {"type": "boolean"}),
        (Annotated[str, Field(max_length=3)], {"type": "string", "maxLength": 3}),
        (Annotated[str, Field(max_length=3)] | None, {"type": "string", "maxLength": 3}),
        (datetime, {"type": "string", "format": "date-time"}),
        (Literal["A", "B"], {"type": "string", "enum": ["A", "B"]}),
        (Literal["A"], {"type": "string", "enum": ["A"]}),
        (Annotated[int, Field(ge=0)], {"type": "integer", "format": "int64", "minimum": 0}),
        (
            Annotated[int, Field(ge=1, le=9)],
            {"type": "integer", "format": "int32", "minimum": 1, "maximum": 9},
        ),
        (
            Annotated[list[bool], Field(max_length=2)],
            {"type": "array", "maxItems": 2, "items": {"type": "boolean"}},
        ),
        (
            Annotated[dict[str, bool], Field(max_length=2)],
            {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "boolean"}},
        ),
        (
            Annotated[
                dict[str, Any],
                Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
            ],
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        ),
    ],
)
def test_translates(annotation: Any, expected: Schema) -> None:
    assert schema_of(annotation) == DESCRIBED | expected


class Inner(BaseModel):
    """Inside."""

    choice: Annotated[Literal["A", "B"], Field(default="A", description="One of two.")]
    maybe: Annotated[bool | None, Field(default=None, description="Or not.")]
    flags: Annotated[list[bool], Field(default=[], max_length=2, description="Some.")]


class Outer(BaseModel):
    """Outside."""

    inner: Annotated[Inner, Field(default=Inner(), description="What it holds.")]


def test_a_default_leaves_out_nulls_and_empty_lists() -> None:
    """They would be written into every stored object and say nothing."""
    inner = schema_of_model(Outer)["properties"]["inner"]
    assert inner["default"] == {"choice": "A"}
    assert [name for name, field in inner["properties"].items() if "default" in field] == ["choice"]


def test_the_words_of_the_field_win_over_those_of_its_type() -> None:
    inner = schema_of_model(Outer)["properties"]["inner"]
    assert inner["description"] == "What it holds."
