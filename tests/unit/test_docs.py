"""What the documents show is true: their YAML is valid, their Python compiles, their links lead somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from conversations.api.conversation import Conversation, ConversationSpec
from conversations.client import Conversations

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
GUIDE = REPOSITORY / "docs" / "python.md"
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "hack/**/*.md", "images/*.md", "charts/*/*.md")
    for path in REPOSITORY.glob(pattern)
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_INLINE_CODE = re.compile(r"`[^`\n]*`")
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: Path, language: str) -> list[str]:
    return [text for found, text in _FENCE.findall(document.read_text()) if found == language]


def broken_links(document: Path) -> Iterator[str]:
    prose = _INLINE_CODE.sub("``", _FENCE.sub("", document.read_text()))
    for link in _LINK.findall(prose):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


def anchors(document: Path) -> set[str]:
    """The anchors that a renderer makes of a document's headings."""
    headings = re.findall(r"^#+ +(.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(REPOSITORY)))
def test_links_lead_somewhere(document: Path) -> None:
    assert list(broken_links(document)) == []


def test_the_first_conversation_is_valid_and_short() -> None:
    (text,) = blocks(README, "yaml")
    manifest = yaml.safe_load(text)
    known = {field.alias for field in ConversationSpec.model_fields.values()}
    assert manifest["spec"].keys() <= known
    assert Conversation.model_validate(manifest).session_id == manifest["spec"]["sessionID"]
    assert len(text.splitlines()) <= 10


def test_the_first_program_is_short() -> None:
    (text,) = blocks(README, "python")
    assert len([line for line in text.splitlines() if line]) <= 10


@pytest.mark.parametrize("document", [README, GUIDE], ids=lambda d: d.name)
def test_programs_call_what_there_is(document: Path) -> None:
    programs = blocks(document, "python")
    assert programs
    for program in programs:
        tree = ast.parse(program)
        assert called_methods(tree) <= set(dir(Conversations))


def called_methods(tree: ast.AST) -> set[str]:
    """Names of what is called on `conversations`."""
    return {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "conversations"
    }


def test_every_decision_is_listed() -> None:
    folder = REPOSITORY / "docs" / "decisions"
    listed = set(_LINK.findall((folder / "README.md").read_text()))
    assert {path.name for path in folder.glob("[0-9]*.md")} == listed


def test_the_paths_of_the_architecture_exist() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text()
    roots = (
        REPOSITORY,
        REPOSITORY / "operator" / "conversations",
        REPOSITORY / "tests" / "cluster",
    )
    named = re.findall(r"`([\w/.-]+(?:\.py|/))`", text)
    missing = [path for path in named if not any((root / path).exists() for root in roots)]
    assert missing == []
