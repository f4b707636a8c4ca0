#!/usr/bin/env python3
"""
Run a command inside the files of one of our images: `hack/in_image.py IMAGE COMMAND...`

No container runtime takes part: the archive is unpacked once for each build of it, and the command
gets a mount and a process namespace of its own, in which the image's files are the root, read-only.
This checkout and the cache are where they are outside, so paths and clusters mean the same there;
the network is this machine's.  Mounts and processes vanish with the command.  Needs root.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parent.parent
PASSED_ON = ("TERM", "LANG", "PYTEST_ADDOPTS", "CONVERSATION_OPERATOR_TEST_CONTEXT")
PATH = "/opt/openhands/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# $1 is the root, $2 the checkout, $3 the cache; the rest is the command.
ENTER = """
set -eu
root=$1 repository=$2 cache=$3
shift 3
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs home "$root/root"
mount --bind /tmp "$root/tmp"
for file in /etc/resolv.conf /etc/hosts; do mount --bind "$file" "$root$file"; done
for folder in "$repository" "$cache"; do
    # What lies in /tmp or /root is seen, or made, through the mounts above.
    mkdir -p "$root$folder"
    mount --bind "$folder" "$root$folder"
done
mount -o remount,bind,ro "$root"
exec chroot "$root" sh -c 'cd "$0" && exec "$@"' "$repository" "$@"
"""


def main(image: str, command: list[str]) -> int:
    """The command's exit code."""
    if os.geteuid() != 0:
        sys.exit(f"{sys.argv[0]} needs root: it mounts")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(os.environ.get("CONVERSATION_OPERATOR_CACHE") or f"{base}/conversation-operator")
    root = unpack(cache / "images" / f"{image}.tar", cache / "roots" / image)
    # Should this process be killed, unshare, which ignores polite signals, and all in it go, too.
    namespaces = ["setpriv", "--pdeathsig", "KILL"]
    namespaces += ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    enter = ["sh", "-c", ENTER, "enter", str(root), str(REPOSITORY), str(cache)]
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {"PATH": PATH, "HOME": "/root", "CONVERSATION_OPERATOR_CACHE": str(cache)}
    return subprocess.run([*namespaces, *enter, *command], env=environment, check=False).returncode


def unpack(archive: Path, root: Path) -> Path:
    """The files of the archive that is there now."""
    if not archive.exists():
        sys.exit(f"{archive.stem} is not built: run `make images`")
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / f".{root.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, seen = root.parent / f".{root.name}.unpacked", archive.stat()
        identity = f"{seen.st_size} {seen.st_mtime_ns}"
        if not stamp.exists() or stamp.read_text() != identity:
            stamp.unlink(missing_ok=True)
            shutil.rmtree(root, ignore_errors=True)
            unpack_layers(archive, root)
            prepare(root)
            stamp.write_text(identity)
    return root


def unpack_layers(archive: Path, root: Path) -> None:
    """The layers on top of each other, deletions included."""
    root.mkdir()
    with tarfile.open(archive) as image:
        for name in json.load(member(image, "manifest.json"))[0]["Layers"]:
            with tarfile.open(fileobj=member(image, name)) as layer:
                for path in layer.getnames():
                    delete_marked(root / path)
            # GNU tar: three times as fast as tarfile on fifty thousand files.
            command = ["tar", "-x", "-p", "--numeric-owner", "--exclude=.wh.*", "-C", str(root)]
            with subprocess.Popen(command, stdin=subprocess.PIPE) as tar:
                assert tar.stdin is not None
                shutil.copyfileobj(member(image, name), tar.stdin, 2**20)
                tar.stdin.close()
                if tar.wait() != 0:
                    sys.exit(f"cannot unpack {name} of {archive}")


def member(image: tarfile.TarFile, name: str) -> IO[bytes]:
    found = image.extractfile(image.getmember(name))
    assert found is not None
    return found


def delete_marked(path: Path) -> None:
    """A layer's file `.wh.NAME` says that the layers below had a NAME which is gone."""
    if path.name == ".wh..wh..opq":
        shutil.rmtree(path.parent, ignore_errors=True)
    elif path.name.startswith(".wh."):
        gone = path.with_name(path.name.removeprefix(".wh."))
        if gone.is_dir() and not gone.is_symlink():
            shutil.rmtree(gone)
        else:
            gone.unlink(missing_ok=True)


def prepare(root: Path) -> None:
    """Places for the mounts: the root is read-only when they are made."""
    for folder in ("dev", "proc", "root", "tmp"):
        (root / folder).mkdir(exist_ok=True)
    for file in ("etc/resolv.conf", "etc/hosts"):
        (root / file).unlink(missing_ok=True)
        (root / file).touch()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} IMAGE COMMAND...")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
