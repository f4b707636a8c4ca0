"""
The manager's three file methods, answered by the nested server.

Errors are those of `nested`: what OpenHands' routes make answers of.
"""

from io import BytesIO

import httpx

from conversations.openhands.v0.nested import (
    Call,
    NestedServers,
    Runtimes,
    is_text,
    nonsense,
    read_json,
    refused,
)

LOOK_SECONDS = 60.0
UPLOAD_SECONDS = 900.0


class NestedFiles:
    """Files in the workspaces of running conversations."""

    def __init__(self, runtimes: Runtimes) -> None:
        self._nested = NestedServers(runtimes)

    async def list_files(self, sid: str, path: str | None = None) -> list[str]:
        """The nested server's list, unchanged."""
        params = {"path": path} if path else None
        response = await self._nested.ask(Call(sid, "list-files", LOOK_SECONDS, params))
        if response.status_code != 200:
            raise refused(response)
        names = read_json(response)
        if not (isinstance(names, list) and is_text(*names)):
            raise nonsense()
        return names

    async def select_file(self, sid: str, file: str) -> tuple[str | None, str | None]:
        """(content, None) or (None, why not); BINARY_FILE:<file> where it is no text."""
        call = Call(sid, "select-file", LOOK_SECONDS, {"file": file})
        try:
            response = await self._nested.ask(call)
        except httpx.HTTPStatusError as error:
            return None, str(error)
        if response.status_code == 415:
            return None, f"BINARY_FILE:{file}"
        answer = read_json(response)
        if response.status_code != 200:
            return None, _explanation(answer) or str(refused(response))
        content = answer.get("code") if isinstance(answer, dict) else None
        if not is_text(content):
            return None, str(nonsense())
        return content, None

    async def upload_files(
        self, sid: str, files: list[tuple[str, bytes]]
    ) -> tuple[list[str], list[dict[str, str]]]:
        """(paths of what was uploaded, names and reasons of what was skipped)."""
        # httpx takes a file piece by piece, and bytes at once: a second copy in its buffers.
        parts = [
            ("files", (name, BytesIO(content), "application/octet-stream"))
            for name, content in files
        ]
        response = await self._nested.ask(Call(sid, "upload-files", UPLOAD_SECONDS, files=parts))
        if response.status_code != 200:
            raise refused(response)
        answer = read_json(response)
        if not isinstance(answer, dict) or not answer.keys() & {"uploaded_files", "skipped_files"}:
            raise nonsense()
        uploaded, skipped = answer.get("uploaded_files", []), answer.get("skipped_files", [])
        if not (isinstance(uploaded, list) and is_text(*uploaded) and _are_skipped(skipped)):
            raise nonsense()
        return uploaded, skipped


def _explanation(answer: object) -> str | None:
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, str) and is_text(error) else None


def _are_skipped(skipped: object) -> bool:
    return isinstance(skipped, list) and all(
        isinstance(one, dict) and is_text(*one.values()) for one in skipped
    )
