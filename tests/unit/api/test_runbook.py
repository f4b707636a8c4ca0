"""The runbook knows every reason that a condition can carry, and no other."""

import re
import subprocess
from functools import cache

import pytest
from hack.generate import ROOT

from conversations.api.reasons import TERMINAL_REASONS, Reason

TEXT = (ROOT / "docs/runbook.md").read_text()


@cache
def entries() -> dict[str, str]:
    """Each `### heading` and what stands beneath it."""
    blocks = re.split(r"^#{2,3} ", TEXT, flags=re.MULTILINE)
    headings = re.findall(r"^### (.*)$", TEXT, flags=re.MULTILINE)
    bodies = dict(block.split("\n", 1) for block in blocks[1:])
    assert len(headings) == len(set(headings))
    return {heading: bodies[heading] for heading in headings}


def test_it_has_an_entry_for_each_reason_and_no_other() -> None:
    assert sorted(entries()) == sorted(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_an_entry_says_what_it_means_what_is_seen_and_what_to_do(reason: Reason) -> None:
    entry = entries()[reason]
    assert re.findall(r"^\*\*(Means|Shown|Do)\.\*\* \S", entry, flags=re.MULTILINE) == [
        *("Means", "Shown", "Do")
    ]
    assert "```sh\nkubectl " in entry


@pytest.mark.parametrize("reason", Reason)
def test_terminal_reasons_are_marked(reason: Reason) -> None:
    assert entries()[reason].strip().startswith("**Terminal") == (reason in TERMINAL_REASONS)


def test_references_lead_to_entries() -> None:
    anchors = re.findall(r"\]\(#([^)]*)\)", TEXT)
    assert set(anchors) <= {reason.lower() for reason in Reason}


@pytest.mark.parametrize("block", re.findall(r"```sh\n(.*?)```", TEXT, flags=re.DOTALL))
def test_commands_are_valid_shell(block: str) -> None:
    subprocess.run(["bash", "-n"], input=block, text=True, check=True)
