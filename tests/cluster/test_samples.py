"""
The samples are valid, and a cluster that enforces Pod Security takes their pods: `restricted`, or
`baseline` where the sample says that it needs it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from conversations.api.template import RuntimeTemplate
from conversations.core.build import build_pod
from conversations.core.observed import Conversation, ConversationMeta
from conversations.core.template import Template
from tests.rig.kubectl import Kubectl
from tests.rig.namespaces import BASELINE, RESTRICTED, fresh_namespace

SAMPLES = sorted((Path(__file__).parents[2] / "manifests/samples").glob("*.yaml"))
TEMPLATES = [path for path in SAMPLES if path.stem.startswith("runtimetemplate")]
DRY_RUN = ("apply", "--dry-run=server", "--validate=strict", "-f", "-", "-n")


@pytest.fixture(scope="module")
def restricted(kubectl: Kubectl, crds: None) -> Iterator[str]:
    yield from fresh_namespace(kubectl, RESTRICTED)


@pytest.fixture(scope="module")
def baseline(kubectl: Kubectl, crds: None) -> Iterator[str]:
    yield from fresh_namespace(kubectl, BASELINE)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_valid(kubectl: Kubectl, restricted: str, sample: Path) -> None:
    kubectl(*DRY_RUN, restricted, input=sample.read_text())


@pytest.mark.parametrize("sample", TEMPLATES, ids=lambda path: path.stem)
def test_pod_is_taken(kubectl: Kubectl, restricted: str, baseline: str, sample: Path) -> None:
    privileged = "enforce: baseline" in sample.read_text()
    done = dry_run(kubectl, baseline if privileged else restricted, sample)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def test_a_sudo_pod_needs_baseline(kubectl: Kubectl, restricted: str) -> None:
    sample = next(path for path in TEMPLATES if path.stem.endswith("-sudo"))
    done = dry_run(kubectl, restricted, sample)
    assert done.returncode != 0 and "violates PodSecurity" in done.stderr


def dry_run(kubectl: Kubectl, namespace: str, sample: Path) -> CompletedProcess[str]:
    """Ask for a pod of that template."""
    read = RuntimeTemplate.model_validate(yaml.safe_load(sample.read_text()))
    template = Template(read.metadata.name, uid="t", generation=1, spec=read.spec)
    conversation = Conversation(metadata=ConversationMeta(name="one", uid="u"))
    pod = build_pod(conversation, template, session_key_hash="0" * 64)
    return kubectl(*DRY_RUN, namespace, input=json.dumps(pod), check=False)


def test_a_minimal_conversation_fits_in_ten_lines() -> None:
    text = next(path for path in SAMPLES if path.stem == "conversation").read_text()
    assert len(text.splitlines()) <= 10
    assert yaml.safe_load(text)["kind"] == "Conversation"
