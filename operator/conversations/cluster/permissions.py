"""
What the operator and the client may do in the one namespace they work in.

The chart's Roles are generated from here, and a test holds them against the calls really made:
no missing verb, no spare one.
"""

from typing import NamedTuple

from conversations.api.group import CONVERSATIONS, GROUP, TEMPLATES


class Rule(NamedTuple):
    """One rule of a Role."""

    group: str
    resource: str
    verbs: tuple[str, ...]


OPERATOR_RULES = (
    Rule(GROUP, CONVERSATIONS, ("get", "list", "watch")),
    Rule(GROUP, f"{CONVERSATIONS}/status", ("patch",)),
    Rule(GROUP, TEMPLATES, ("create", "get", "list", "patch", "watch")),
    Rule(GROUP, f"{TEMPLATES}/status", ("patch",)),
    Rule("", "pods", ("create", "delete", "get", "list", "watch")),
    Rule("", "secrets", ("create", "delete", "get", "list", "patch", "watch")),
    Rule("", "persistentvolumeclaims", ("create", "get")),
    Rule("", "events", ("create",)),
    Rule("coordination.k8s.io", "leases", ("create", "get", "update")),
)

CLIENT_RULES = (
    Rule(GROUP, CONVERSATIONS, ("create", "delete", "get", "list", "patch", "watch")),
    Rule("", "secrets", ("create", "delete", "get", "patch")),
    Rule("", "pods", ("get",)),
)

PORT_FORWARD_RULES = (Rule("", "pods/portforward", ("create",)),)
"""What a client outside the cluster needs besides CLIENT_RULES."""
