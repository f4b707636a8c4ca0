"""The hot path's structs and the API's models are one thing with one set of names."""

from datetime import datetime
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec
import pytest
from pydantic import BaseModel

from conversations.api import conversation as api
from conversations.api import labels, meta
from conversations.core import observed

PAIRS = [
    (observed.Conversation, api.Conversation),
    (observed.Spec, api.ConversationSpec),
    (observed.Status, api.ConversationStatus),
    (observed.EnvVar, api.EnvVar),
    (observed.Inputs, api.Inputs),
    (observed.Condition, meta.Condition),
]


def struct_names(struct: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct)}


def model_names(model: type[BaseModel]) -> set[str]:
    alias = model.model_config["alias_generator"]
    assert callable(alias)
    return {field.alias or alias(name) for name, field in model.model_fields.items()}


@pytest.mark.parametrize(("struct", "model"), PAIRS)
def test_the_same_names_on_the_wire(struct: type[msgspec.Struct], model: type[BaseModel]) -> None:
    assert struct_names(struct) == model_names(model)


def test_of_metadata_we_keep_a_part() -> None:
    assert struct_names(observed.ConversationMeta) <= model_names(meta.ObjectMeta)


def test_of_labels_and_annotations_we_keep_what_decides() -> None:
    metadata = {
        "name": "n",
        "labels": {labels.INSTALLATION: "here", "team": "blue"},
        "annotations": {labels.DRAINED_POD: "p", "note": "long"},
    }
    read = msgspec.convert(metadata, observed.ConversationMeta)
    assert read.labels.installation == "here"
    assert read.annotations.drained_pod == "p"
    plain = msgspec.convert({"name": "n", "labels": {"team": "blue"}}, observed.ConversationMeta)
    assert plain.labels is plain.annotations  # Thousands that nobody marked share one object.


def core_type(annotation: Any) -> Any:
    """The plain type under Optional, Literal, aliases and Annotated."""
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, UnionType):
        return core_type(next(a for a in arguments if a is not type(None)))
    if get_origin(annotation) is list:
        return list
    if annotation in (observed.Inputs, api.Inputs):
        return "Inputs"  # A pair of its own.
    return type(arguments[0]) if arguments and isinstance(arguments[0], str) else annotation


@pytest.mark.parametrize(
    ("struct", "model"), [pair for pair in PAIRS if pair[0] is not observed.Conversation]
)
def test_the_same_types_on_the_wire(struct: type[msgspec.Struct], model: type[BaseModel]) -> None:
    alias = model.model_config["alias_generator"]
    assert callable(alias)
    theirs = {
        field.alias or alias(name): core_type(field.annotation)
        for name, field in model.model_fields.items()
    }
    ours = {f.encode_name: core_type(f.type) for f in msgspec.structs.fields(struct)}
    assert ours == theirs


def test_a_full_object_reads_the_same_both_ways() -> None:
    status = {
        "phase": "Running",
        "podUID": "p",
        "lastRestartPodUID": "q",
        "lastRestartTime": "2026-03-01T12:00:00Z",
        "startupMilliseconds": 5,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "RuntimeReady",
                "message": "m",
                "lastTransitionTime": "2026-03-01T12:00:00Z",
                "observedGeneration": 1,
            }
        ],
    }
    spec = {"template": "t", "sessionID": "s", "user": "u", "env": [{"name": "A", "value": "1"}]}
    manifest = {"metadata": {"name": "n", "uid": "u"}, "spec": spec, "status": status}
    struct = msgspec.convert(manifest, observed.Conversation)
    model = api.Conversation.model_validate(manifest)
    assert struct.spec.session_id == model.session_id == "s"
    assert struct.status.last_restart_pod_uid == model.status.last_restart_pod_uid == "q"
    assert struct.status.last_restart_time == model.status.last_restart_time
    assert isinstance(struct.status.last_restart_time, datetime)
    assert msgspec.to_builtins(struct.status) == status
