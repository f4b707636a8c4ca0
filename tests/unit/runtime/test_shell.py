"""Commands hold their arguments as base64 and nothing else of the caller's."""

import re
from base64 import b64decode

from hypothesis import given
from hypothesis import strategies as st

from conversations.runtime.shell import build_command


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_arguments_cannot_be_code(arguments: list[bytes]) -> None:
    first, _, rest = build_command("SCRIPT", arguments).partition("\n")
    assert re.fullmatch(r"set -- ([A-Za-z0-9+/=]+|'')( ([A-Za-z0-9+/=]+|''))*", first)
    words = first.removeprefix("set -- ").split(" ")
    assert [b64decode(word.strip("'")) for word in words] == arguments
    assert rest.endswith("SCRIPT")
