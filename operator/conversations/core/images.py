"""Which images a Conversation may name."""

import re
from collections.abc import Sequence


def image_allowed(image: str, globs: Sequence[str]) -> bool:
    """
    True where one of the globs matches the whole image, registry host included.

    `*` stands for any characters but `/`, `:` and `@`, so that `host/team/*` opens neither another
    path nor a chosen tag or digest.
    """
    return any(re.fullmatch(_pattern(glob), image) for glob in globs)


def _pattern(glob: str) -> str:
    return "[^/:@]*".join(re.escape(part) for part in glob.split("*"))
