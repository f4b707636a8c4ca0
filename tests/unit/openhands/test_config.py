"""CONVERSATIONS_* of the environment."""

import pytest

from conversations.openhands.v0.config import ClosePolicy, ManagerSettings


def test_nothing_needs_to_be_said() -> None:
    assert ManagerSettings.from_environment({"HOME": "/"}) == ManagerSettings()
    # A chart that writes an empty value says nothing either.
    assert ManagerSettings.from_environment({"CONVERSATIONS_PUBLIC_URL": ""}) == ManagerSettings()


def test_everything_can_be_said() -> None:
    given = {
        "NAMESPACE": "agents",
        "TEMPLATE": "openhands",
        "INSTALLATION": "blue",
        "CLOSE_POLICY": "Delete",
        "CLOSE_SECONDS": "5",
        "PUBLIC_URL": "https://agents.example.org/c/",
        "KUBECONFIG": "/etc/kubeconfig",
        "CONTEXT": "prod",
        "ACCESS": "direct",
    }
    settings = ManagerSettings.from_environment(
        {f"CONVERSATIONS_{name}": value for name, value in given.items()}
    )
    assert settings == ManagerSettings(
        namespace="agents",
        template="openhands",
        installation="blue",
        close_policy=ClosePolicy.DELETE,
        close_seconds=5.0,
        public_url="https://agents.example.org/c",
        kubeconfig="/etc/kubeconfig",
        context="prod",
        access="direct",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INSTALLATION", "not a label"),
        ("INSTALLATION", "x" * 64),
        ("INSTALLATION", "ends-"),
        ("CLOSE_POLICY", "pause"),
        ("CLOSE_SECONDS", "soon"),
        ("CLOSE_SECONDS", "nan"),
        ("CLOSE_SECONDS", "0"),
        ("PUBLIC_URL", "agents.example.org"),
        ("PUBLIC_URL", "ftp://agents.example.org"),
        ("PUBLIC_URL", "https://agents.example.org/?a=b"),
        ("ACCESS", "tunnel"),
    ],
)
def test_what_makes_no_sense_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"CONVERSATIONS_{name}="):
        ManagerSettings.from_environment({f"CONVERSATIONS_{name}": value})
