"""
`python -m hack.generate` writes every generated file; with --check it writes nothing, shows what
differs and fails.
"""

import argparse
import difflib
import subprocess
import sys
from pathlib import Path

from hack.generate import ROOT
from hack.generate.chart import render_crd, render_crd_templates, render_role_rules

from conversations.api.crd import RESOURCES, build_crd
from conversations.api.reference import render_reference

CHART_TEMPLATES = "charts/conversation-operator/templates"
RENDER_INSTALL = "hack/render-install.sh"


def render_all() -> dict[str, str]:
    """Path in the repository → text, for everything that is rendered here."""
    crds = {resource.plural: build_crd(resource) for resource in RESOURCES}
    return {
        **{f"crds/{plural}.yaml": render_crd(crd) for plural, crd in crds.items()},
        f"{CHART_TEMPLATES}/crds.yaml": render_crd_templates(),
        f"{CHART_TEMPLATES}/_rules.tpl": render_role_rules(),
        "docs/api.md": render_reference(),
    }


def find_strays(rendered: dict[str, str], root: Path) -> list[str]:
    """Files in crds/ that nothing generates any more."""
    present = (path.relative_to(root).as_posix() for path in (root / "crds").iterdir())
    return sorted(set(present) - rendered.keys())


def write(rendered: dict[str, str], root: Path) -> None:
    """Bring the files up to date and remove strays; untouched ones keep their times."""
    for name, text in rendered.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote {name}")
    for name in find_strays(rendered, root):
        (root / name).unlink()
        print(f"removed {name}")


def find_drift(rendered: dict[str, str], root: Path) -> str:
    """A unified diff of what is committed against what would be generated; empty when equal."""
    drift = [f"{name}: nothing generates it\n" for name in find_strays(rendered, root)]
    for name, text in rendered.items():
        path = root / name
        present = path.read_text() if path.exists() else ""
        drift += difflib.unified_diff(
            present.splitlines(keepends=True),
            text.splitlines(keepends=True),
            fromfile=name,
            tofile=f"{name} (generated)",
        )
    return "".join(drift)


def render_install(*arguments: str) -> int:
    """manifests/install.yaml, which only helm can render."""
    return subprocess.run([ROOT / RENDER_INSTALL, *arguments], cwd=ROOT).returncode


def main() -> int:
    """Exit code 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m hack.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    check = parser.parse_args().check
    rendered = render_all()
    if not check:
        write(rendered, ROOT)
        return render_install()
    if drift := find_drift(rendered, ROOT):
        sys.stderr.write(f"{drift}\nGenerated files differ: run `make generate`.\n")
        return 1
    return render_install("--check")


if __name__ == "__main__":
    sys.exit(main())
