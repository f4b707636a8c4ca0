"""The committed files are what the models say, and the check says so when they are not."""

from pathlib import Path

import pytest
import yaml
from hack.generate import ROOT
from hack.generate.__main__ import find_drift, render_all, write
from hack.generate.chart import render_role_rules

from conversations.cluster.permissions import OPERATOR_RULES


def test_nothing_has_drifted() -> None:
    assert find_drift(render_all(), ROOT) == ""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "crds").mkdir()
    write(render_all(), tmp_path)
    return tmp_path


def test_a_hand_edit_is_shown_as_a_diff(copy: Path) -> None:
    page = copy / "docs/api.md"
    page.write_text(page.read_text().replace("# API reference", "# Something else"))
    drift = find_drift(render_all(), copy)
    assert "-# Something else\n+# API reference\n" in drift
    assert "docs/api.md (generated)" in drift


def test_a_file_that_nothing_generates_is_named_and_removed(copy: Path) -> None:
    (copy / "crds/old.yaml").write_text("kind: Old\n")
    assert find_drift(render_all(), copy) == "crds/old.yaml: nothing generates it\n"
    write(render_all(), copy)
    assert find_drift(render_all(), copy) == ""


def test_a_missing_file_is_drift(copy: Path) -> None:
    (copy / "crds/conversations.yaml").unlink()
    assert "+kind: CustomResourceDefinition" in find_drift(render_all(), copy)


def test_the_roles_say_what_the_code_says() -> None:
    body = render_role_rules().split('"conversation-operator.operatorRules" -}}')[1]
    rules = yaml.safe_load(body.split("{{- end }}")[0])
    assert [
        (*rule["apiGroups"], *rule["resources"], tuple(rule["verbs"])) for rule in rules
    ] == list(OPERATOR_RULES)
