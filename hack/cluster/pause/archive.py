"""Write a docker-archive of one static program: `python3 archive.py PROGRAM NAME:TAG ARCHIVE`."""

import hashlib
import io
import json
import platform
import sys
import tarfile
from pathlib import Path

NOBODY = "65535:65535"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def build_layer(program: Path) -> bytes:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        add(archive, program.name, program.read_bytes(), mode=0o755)
    return layer.getvalue()


def build_config(entrypoint: str, layer: bytes) -> bytes:
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    return json.dumps(
        {
            "architecture": ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {"Entrypoint": [entrypoint], "User": NOBODY},
            "rootfs": {"type": "layers", "diff_ids": [digest]},
        }
    ).encode()


def write_archive(program: Path, name: str, target: Path) -> None:
    layer = build_layer(program)
    config = build_config(f"/{program.name}", layer)
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(target, mode="w") as archive:
        add(archive, "layer.tar", layer)
        add(archive, "config.json", config)
        add(archive, "manifest.json", json.dumps(manifest).encode())


if __name__ == "__main__":
    write_archive(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
