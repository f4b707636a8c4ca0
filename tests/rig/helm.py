"""Helm and our chart: the rendering as objects, and releases on a cluster."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rig.cluster import cache_directory

Manifest = dict[str, Any]

RELEASE = "conversation-operator"
OLDEST_KUBERNETES = "1.31.0"
"""What the chart promises to run on; without it helm assumes the version it was built with."""


class ChartRefused(Exception):
    """Helm does not take these values; the message is helm's."""


class Rendering:
    """What one `helm template` printed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.manifests: list[Manifest] = [m for m in yaml.safe_load_all(text) if m]

    def of_kind(self, kind: str) -> list[Manifest]:
        return [m for m in self.manifests if m["kind"] == kind]

    def find(self, kind: str, name: str) -> Manifest:
        """The one of that kind and name."""
        found = [m for m in self.of_kind(kind) if m["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} of {kind} {name}"
        return found[0]

    def runtime_templates(self) -> dict[str, Manifest]:
        """The RuntimeTemplates that the leader will apply, by name."""
        data = self.find("ConfigMap", f"{RELEASE}-templates").get("data") or {}
        templates = [yaml.safe_load(text) for text in data.values()]
        return {template["metadata"]["name"]: template for template in templates}


class Helm:
    """The helm that hack/cluster built, or the machine's own."""

    def __init__(self, binary: str, chart: Path, kubeconfig: Path | None = None) -> None:
        self._binary = binary
        self._chart = chart
        self._kubeconfig = kubeconfig

    def render(
        self, values: Mapping[str, Any] | None = None, *, namespace: str = "conversations"
    ) -> Rendering:
        """The chart with these values; ChartRefused where the schema or a template says no."""
        command = ("template", RELEASE, str(self._chart), "--kube-version", OLDEST_KUBERNETES)
        done = self._run(*command, "-n", namespace, "-f", "-", values=values)
        if done.returncode:
            raise ChartRefused(done.stderr)
        return Rendering(done.stdout)

    def __call__(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        """Any other command; fails the test when helm fails."""
        given = ("-f", "-") if values is not None else ()
        done = self._run(*arguments, *given, values=values)
        assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def _run(
        self, *arguments: str, values: Mapping[str, Any] | None
    ) -> subprocess.CompletedProcess[str]:
        cluster = {"KUBECONFIG": str(self._kubeconfig)} if self._kubeconfig else {}
        return subprocess.run(
            [self._binary, *arguments],
            input=yaml.safe_dump(dict(values or {})),
            env={**os.environ, **cluster},
            capture_output=True,
            text=True,
            timeout=300,
        )


def find_helm() -> str:
    """Skips the test where helm is missing, but not in CI, which has to have it."""
    binary = shutil.which("helm", path=f"{cache_directory() / 'bin'}:{os.environ.get('PATH', '')}")
    if binary is None and os.environ.get("CI") == "true":
        pytest.fail("helm is missing: run `make cluster-up` or `make kwok-up`", pytrace=False)
    if binary is None:
        pytest.skip("helm is missing: run `make cluster-up` or `make kwok-up`")
    return binary
