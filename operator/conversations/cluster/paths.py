"""URL paths of the Kubernetes API."""

from conversations.api.group import CONVERSATIONS, GROUP, TEMPLATES, VERSION


def collection(group: str, version: str, plural: str, namespace: str) -> str:
    """The path of all objects of one resource in a namespace; group "" is the core group."""
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    return f"{root}/namespaces/{namespace}/{plural}"


def conversations(namespace: str) -> str:
    return collection(GROUP, VERSION, CONVERSATIONS, namespace)


def templates(namespace: str) -> str:
    return collection(GROUP, VERSION, TEMPLATES, namespace)


def core(plural: str, namespace: str) -> str:
    return collection("", "v1", plural, namespace)
