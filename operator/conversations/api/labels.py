"""
Labels, annotations and data keys that our objects carry.

Label values are a uid or a hash, never a raw name: Kubernetes limits them to 63 characters of a
small alphabet, and session ids and user ids know no such limits.
"""

from hashlib import sha256

from conversations.api.group import GROUP

CONVERSATION_UID = f"{GROUP}/conversation-uid"
"""On every Secret, pod and PVC of a conversation; what the operator's watches select by."""
USER_HASH = f"{GROUP}/user-hash"
"""On runtime pods: `label_hash` of the user."""
TEMPLATE = f"{GROUP}/template"
"""On runtime pods: the name of the RuntimeTemplate."""
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "conversation-operator"
COMPONENT = "app.kubernetes.io/component"
RUNTIME_COMPONENT = "runtime"
"""What the chart's NetworkPolicies select runtime pods by (with MANAGED_BY)."""
CLIENT_ACCESS = f"{GROUP}/client"
"""A pod labelled `"true"` may connect to runtimes: the chart's NetworkPolicy allows it."""

SESSION_KEY_HASH = f"{GROUP}/session-key-hash"
"""Annotation on the session Secret, and on the pod that was given that key: hex SHA-256 of the key's text."""
DESIRED_HASH = f"{GROUP}/desired-hash"
"""Annotation on the pod: hash of what it was built from; another hash now means drift."""
PROTOCOL = f"{GROUP}/protocol"
"""Annotation on the pod: what its runtime speaks, whatever the template says by now."""
RUNTIME_PORT = f"{GROUP}/port"
"""Annotation on the pod: where its runtime listens, whatever the template says by now."""

INPUT = f"{GROUP}/input"
"""On the Secrets that hold a conversation's inputs: which kind it is; also the Secret's type."""
INPUT_HASH = f"{GROUP}/input-hash"
"""Annotation on those: hash of what is in them, as spec.inputs names it."""
INSTALLATION = f"{GROUP}/installation"
"""On Conversations: the OpenHands installation whose manager made it, and keeps its history."""
DRAINED_POD = f"{GROUP}/drained-pod"
"""Annotation on a Conversation: uid of the pod whose history its manager has saved."""

SESSION_KEY = "session-api-key"
"""Data key in the session Secret: what clients send as X-Session-API-Key."""
RUNTIME_SECRET_KEY = "secret-key"
"""Data key in the session Secret: what the runtime encrypts stored secrets with; never leaves the pod."""


def label_hash(text: str) -> str:
    """A label value that stands for any text: 40 hex digits of its SHA-256."""
    return sha256(text.encode()).hexdigest()[:40]
