"""
The servers of our images, run from the images' files: no container and no second installation.

An image brings its own Python and C library, so what this machine has does not matter.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest
from hack.in_image import unpack

from tests.rig.cluster import cache_directory


@dataclass(frozen=True)
class ImageFiles:
    """An unpacked image, and where in it the packages of its server are."""

    root: Path
    venv: str

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


def image_files(name: str, venv: str) -> ImageFiles:
    """The files of the image as built last; a test failure that says what to do where it is not."""
    cache = cache_directory()
    try:
        root = unpack(cache / "images" / f"{name}.tar", cache / "roots" / name)
    except SystemExit as missing:
        pytest.fail(str(missing), pytrace=False)
    return ImageFiles(root, venv)
