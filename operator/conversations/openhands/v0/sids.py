"""Which ids of conversations are taken at all.  Pure."""

MAX_CHARACTERS = 100


def check_sid(sid: str) -> str:
    """The sid, or ValueError for what OpenHands' own routes reject and for what names no directory."""
    if not 0 < len(sid) <= MAX_CHARACTERS:
        raise ValueError(f"a conversation id has 1 to {MAX_CHARACTERS} characters")
    if sid == "." or any(part in sid for part in ("..", "/", "\\")):
        raise ValueError("a conversation id contains no path")
    if any(ord(character) < 32 for character in sid):
        raise ValueError("a conversation id contains no control characters")
    try:
        sid.encode()
    except UnicodeEncodeError:
        raise ValueError("a conversation id is valid Unicode") from None
    return sid
