"""The chart as helm renders it; no cluster."""

from pathlib import Path

import pytest

from tests.rig.helm import Helm, Rendering, find_helm


@pytest.fixture(scope="session")
def chart(repository: Path) -> Path:
    return repository / "charts" / "conversation-operator"


@pytest.fixture(scope="session")
def helm(chart: Path) -> Helm:
    return Helm(find_helm(), chart)


@pytest.fixture(scope="session")
def rendering(helm: Helm) -> Rendering:
    """The chart with its default values, in namespace `conversations`."""
    return helm.render()
