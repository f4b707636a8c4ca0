"""docs/openhands.md: its table of variables is the code's."""

import re
from dataclasses import fields
from pathlib import Path

from conversations.openhands.v0.config import PREFIX, ManagerSettings

PAGE = Path(__file__).parents[3] / "docs" / "openhands.md"
_ROW = re.compile(rf"^\| `({PREFIX}\w+)` \| (.*?) \| .*? \|$", re.MULTILINE)


def test_the_variables_and_their_defaults() -> None:
    rows = dict(_ROW.findall(PAGE.read_text()))
    defaults = {f"{PREFIX}{field.name.upper()}": field.default for field in fields(ManagerSettings)}
    assert rows.keys() == defaults.keys()
    for name, default in defaults.items():
        if default is None:
            assert not rows[name].startswith("`"), name
        else:
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            assert rows[name] == f"`{shown}`", name
