"""Names never collide, and globs open no more than they say."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conversations.api.labels import label_hash
from conversations.core.images import image_allowed
from conversations.core.names import children_name, object_name

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

ids = st.one_of(
    st.text(min_size=1, max_size=100),
    st.from_regex(DNS_LABEL, fullmatch=True),
    st.from_regex(r"sid-[0-9a-f]{40}", fullmatch=True),
)


@given(ids)
@example("a\n")
@example("-a")
@example("A")
@example("a" * 64)
@example("\ud800")
def test_an_object_name_is_a_dns_label(session_id: str) -> None:
    assert DNS_LABEL.fullmatch(object_name(session_id))


@given(ids, ids)
def test_two_ids_never_share_a_name(one: str, other: str) -> None:
    assert (object_name(one) == object_name(other)) == (one == other)


@given(ids)
def test_no_id_can_be_chosen_to_meet_the_name_of_another(session_id: str) -> None:
    name = object_name(session_id)
    if name != session_id:
        assert object_name(name) != name


@pytest.mark.parametrize("readable", ["a", "chat-1", "0", "a" * 63])
def test_what_is_a_dns_label_stays_readable(readable: str) -> None:
    assert object_name(readable) == readable


def test_children_are_named_after_the_uid_alone() -> None:
    assert children_name("123e4567-e89b-12d3-a456-426614174000") == (
        "conv-123e4567-e89b-12d3-a456-426614174000"
    )


@given(st.text(max_size=256).filter(lambda text: text.isprintable()))
def test_a_user_becomes_a_label_value(user: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", label_hash(user))


@pytest.mark.parametrize(
    ("image", "glob", "allowed"),
    [
        ("host/team/agent:1", "host/team/agent:1", True),
        ("host/team/agent:1", "host/team/*:1", True),
        ("host/team/agent:1", "host/team/agent:*", True),
        ("host/team/agent:1", "host/team/*", False),
        ("host/team/agent", "host/team/*", True),
        ("host/team/deep/agent", "host/team/*", False),
        ("host/team/agent@sha256:00", "host/team/*", False),
        ("host/team/agent@sha256:00", "host/team/agent@sha256:*", True),
        ("evil/host/team/agent:1", "host/team/agent:1", False),
        ("host/team/agent:1.evil", "host/team/agent:1", False),
        ("hostXteam/agent", "host.team/agent", False),
        ("host/team/agent:1\n", "host/team/agent:1", False),
        ("anything", "*", True),
        ("a/b", "*", False),
        ("host/team/", "host/team/*", True),
    ],
)
def test_a_glob_matches_the_whole_image(image: str, glob: str, allowed: bool) -> None:
    assert image_allowed(image, [glob]) is allowed


def test_no_globs_allow_nothing() -> None:
    assert not image_allowed("host/team/agent:1", [])
