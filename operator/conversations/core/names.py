"""Names of objects: deterministic, valid, and without collisions."""

import re
from hashlib import sha256

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DERIVED = re.compile(r"sid-[0-9a-f]{40}")


def object_name(session_id: str) -> str:
    """
    The name of the Conversation of a session: the session id itself where that is a DNS label.

    Any other id becomes `sid-` and 40 hex digits of its SHA-256.  An id that already looks like
    that is hashed too, so that no id can be chosen to meet another's name.
    """
    if _DNS_LABEL.fullmatch(session_id) and not _DERIVED.fullmatch(session_id):
        return session_id
    return f"sid-{sha256(session_id.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"


def children_name(uid: str) -> str:
    """The name that the Secret, the cold pod and the PVC of a conversation share."""
    return f"conv-{uid}"
