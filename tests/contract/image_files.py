"""
The agent-server of our image, run from its files: no container, no root, and no second installation.

The image brings its own Python and C library, so what this machine has does not matter.
"""

import fcntl
import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rig.cluster import cache_directory

ARCHIVE = "images/agent-server.tar"
WANTED = ("usr", "opt", "lib", "lib64")

# Debian 12's Python does not know filters yet, and newer ones warn without.
_FILTER: dict[str, Any] = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}


class ImageMissing(Exception):
    """The image has not been built."""


@dataclass(frozen=True)
class ImageFiles:
    """An unpacked image, and where in it the packages of its server are."""

    root: Path
    venv: str = "opt/agent-server"

    def python(self) -> list[str]:
        """The command line of the image's Python, by the image's own loader."""
        loader = next(self.root.glob("usr/lib*/ld-linux-*.so.*"), None) or next(
            self.root.glob("usr/lib/*/ld-linux-*.so.*")
        )
        libraries = next(self.root.glob("usr/lib/*-linux-gnu"))
        interpreter = next(self.root.glob("usr/bin/python3.[0-9]*"))
        return [str(loader), "--library-path", str(libraries), str(interpreter)]

    def environment(self) -> dict[str, str]:
        """Where that Python finds its own library and the server's packages."""
        packages = next(self.root.glob(f"{self.venv}/lib/python3.*/site-packages"))
        return {"PYTHONHOME": str(self.root / "usr"), "PYTHONPATH": str(packages)}


def unpack_image() -> ImageFiles:
    """The files of the archive that is there now; unpacked once for each build of it."""
    cache = cache_directory()
    archive, root = cache / ARCHIVE, cache / "contract" / "agent-server"
    if not archive.exists():
        raise ImageMissing("the agent-server image is not built: run `make images`")
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, seen = root / "unpacked", archive.stat()
        identity = f"{seen.st_size} {seen.st_mtime_ns}"
        if not stamp.exists() or stamp.read_text() != identity:
            shutil.rmtree(root, ignore_errors=True)
            _unpack(archive, root)
            stamp.write_text(identity)
    return ImageFiles(root)


def _unpack(archive: Path, root: Path) -> None:
    with tarfile.open(archive) as image:
        manifest = image.extractfile("manifest.json")
        assert manifest is not None
        for name in json.load(manifest)[0]["Layers"]:
            with tarfile.open(fileobj=image.extractfile(name)) as layer:
                members = [m for m in layer if m.name.lstrip("./").split("/")[0] in WANTED]
                layer.extractall(root, members, **_FILTER)
