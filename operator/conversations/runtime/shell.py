"""
Small POSIX shell scripts in the pod, through the runtime's own bash route.

Arguments travel as base64: no quoting can go wrong, and names that are not UTF-8 pass the JSON.
Output stays far below 1 MiB, because above that agent-server stores it in pieces and may repeat one.
"""

import math
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from conversations.core.errors import RuntimeUnavailable
from conversations.runtime.pod_http import PodHttp
from conversations.runtime.translation import WORDS, nonsense

EXECUTE = "/api/bash/execute_bash_command"
MAX_COMMAND_BYTES = 96 * 1024
"""Linux takes 128 KiB in one argument of a process, and the whole command is one."""


class Exit(IntEnum):
    """Exit codes of our scripts.  No tool in them ends with these."""

    OUTSIDE = 41
    BAD_PARENT = 42
    WRONG_KIND = 43
    MISSING = 44
    INCOMPLETE = 45
    UNREADABLE = 46
    CANNOT_STORE = 47


PRELUDE = r"""
set -u; export LC_ALL=C
# The x keeps trailing newlines, which $(...) would drop.
decode() { v=$(printf %s "$1" | base64 -d; printf x); v=${v%x}; }
resolve() { r=$(realpath "$1" -- "$2" 2>/dev/null && printf x) || return 1; r=${r%?x}; }
inside() { case "$r/" in "$root"/*) ;; *) return 1 ;; esac; }
decode "$1"; shift
resolve -m "$v" || exit 44
root=$r
"""

# Arguments: workspace, path of a temporary file or directory of ours.
REMOVE_SCRIPT = 'decode "$1"; rm -rf -- "$v"'


@dataclass(frozen=True, slots=True)
class ShellResult:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def words(self) -> str:
        """What the tools in the pod said, short enough for a message."""
        return " ".join(self.stderr.split())[:WORDS] or f"exit code {self.exit_code}"


def build_command(script: str, arguments: Sequence[bytes]) -> str:
    """The script with its arguments set; base64 has no character that means anything to a shell."""
    words = " ".join(b64encode(argument).decode() or "''" for argument in arguments)
    return f"set -- {words}\n{PRELUDE}{script}"


async def run_script(
    http: PodHttp, script: str, arguments: Sequence[bytes], *, seconds: float, what: str
) -> ShellResult:
    """Run it to its end.  `arguments[0]` is the workspace, `$root` in the script."""
    command = build_command(script, arguments)
    body = {"command": command, "timeout": max(1, math.ceil(seconds))}
    answer = await http.post_json(EXECUTE, body, what)
    exit_code = answer.get("exit_code")
    stdout, stderr = answer.get("stdout") or "", answer.get("stderr") or ""
    if not (isinstance(exit_code, int) and isinstance(stdout, str) and isinstance(stderr, str)):
        raise nonsense(what)
    if exit_code < 0:
        raise RuntimeUnavailable(f"{what}: the runtime's shell was stopped")
    return ShellResult(exit_code, stdout, stderr)


def decode_base64(text: str, what: str) -> bytes:
    """What a script printed through base64; never empty."""
    try:
        decoded = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        decoded = b""
    if not decoded:
        raise nonsense(what)
    return decoded
