"""Which ids are taken."""

import pytest

from conversations.openhands.v0.sids import check_sid


@pytest.mark.parametrize(
    "sid", ["a", "x" * 100, "größe-日本", "UPPER", "two words", "a.b", "|&#?%2F"]
)
def test_taken(sid: str) -> None:
    assert check_sid(sid) == sid


@pytest.mark.parametrize(
    "sid",
    ["", ".", "..", "../x", "a..b", "a/b", "a\\b", "a\nb", "a\0b", "a\x1fb", "x" * 101, "\ud800"],
)
def test_refused(sid: str) -> None:
    with pytest.raises(ValueError, match="a conversation id"):
        check_sid(sid)
