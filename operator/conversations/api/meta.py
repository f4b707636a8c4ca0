"""The parts of metav1 that both resources share."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """Python names in code, Kubernetes' camelCase on the wire; unknown fields are ignored on read."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True
    )


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """`json_schema_extra` for CEL rules, given as (expression, sentence a person reads)."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": text} for rule, text in pairs]}


def one_of(words: tuple[str, ...]) -> dict[str, Any]:
    """
    `json_schema_extra` for a closed list of words.

    The API server holds writers to it.  A reader takes any text: a newer operator's new word must
    not keep an older client from listing.
    """
    return {"enum": list(words)}


class Condition(ApiModel):
    """One thing that is true or not about the object, as metav1.Condition defines it."""

    type: Annotated[str, Field(max_length=316, description="What this condition is about.")]
    status: Annotated[Literal["True", "False", "Unknown"], Field(description="Whether it holds.")]
    reason: Annotated[
        str, Field(max_length=64, description="One CamelCase word; docs/runbook.md explains each.")
    ]
    message: Annotated[
        str,
        Field(max_length=1024, description="A sentence for people: what is so, and what to do."),
    ]
    last_transition_time: Annotated[
        datetime, Field(description="When the status last changed from one value to another.")
    ]
    observed_generation: Annotated[
        int, Field(ge=0, description="The metadata.generation this condition speaks about.")
    ]


class ObjectMeta(ApiModel):
    """What readers of our resources need of metadata."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
