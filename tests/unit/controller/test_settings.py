"""Settings come from the environment; a wrong one is named."""

from pathlib import Path

import pydantic
import pytest

from conversations.controller.settings import PREFIX, Settings

NAMESPACE = {f"{PREFIX}NAMESPACE": "team-a"}


def test_the_namespace_is_all_that_must_be_said() -> None:
    settings = Settings.from_env(NAMESPACE)
    assert settings.namespace == "team-a"
    assert settings.identity
    assert settings.lease == "conversation-operator"
    assert (settings.port, settings.workers, settings.templates_dir) == (8080, 32, None)


def test_every_setting_has_a_variable() -> None:
    given = {
        "IDENTITY": "pod-1",
        "PORT": "9000",
        "TEMPLATES_DIR": "/templates",
        "WORKERS": "7",
        "RESYNC_SECONDS": "60",
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "plain",
    }
    settings = Settings.from_env(NAMESPACE | {PREFIX + name: v for name, v in given.items()})
    assert settings.templates_dir == Path("/templates")
    assert (settings.port, settings.workers, settings.resync_seconds) == (9000, 7, 60.0)


def test_an_empty_lease_means_none_and_another_empty_variable_means_not_set() -> None:
    settings = Settings.from_env(NAMESPACE | {f"{PREFIX}LEASE": "", f"{PREFIX}PORT": ""})
    assert (settings.lease, settings.port) == ("", 8080)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("WORKERS", "0"),
        ("RESYNC_SECONDS", "-1"),
        ("LOG_LEVEL", "LOUD"),
        ("NAMESPAZE", "x"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Settings.from_env(NAMESPACE | {PREFIX + name: value})
    assert [error["loc"] for error in caught.value.errors()] == [(name.lower(),)]


def test_a_missing_namespace_is_named() -> None:
    with pytest.raises(pydantic.ValidationError, match="namespace"):
        Settings.from_env({})


def test_variables_of_others_are_no_settings() -> None:
    others = {"PATH": "/bin", f"{PREFIX}CACHE": "/cache"}
    assert Settings.from_env(NAMESPACE | others).namespace == "team-a"
