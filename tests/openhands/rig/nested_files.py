"""The file routes of the nested server that the tests play."""

from collections.abc import AsyncIterator, Callable

from aiohttp import web
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartParser


class FileRoutes:
    """`files` gives the names and contents, of the volume that is there by then."""

    def __init__(self, files: Callable[[], dict[str, bytes]]) -> None:
        self._files = files

    async def list_files(self, request: web.Request) -> web.Response:
        prefix = request.query.get("path", "")
        return web.json_response([name for name in self._files() if name.startswith(prefix)])

    async def select_file(self, request: web.Request) -> web.Response:
        name = request.query["file"]
        if name not in self._files():
            words = f"Error opening file: {name}"
            return web.json_response({"error": words}, status=500)
        try:
            return web.json_response({"code": self._files()[name].decode()})
        except UnicodeDecodeError:
            words = f"Unable to open binary file: {name}"
            return web.json_response({"error": words}, status=415)

    async def upload_files(self, request: web.Request) -> web.Response:
        async def body() -> AsyncIterator[bytes]:
            yield await request.read()

        # The parser of the real one.
        parser = MultiPartParser(Headers(dict(request.headers)), body(), max_part_size=2**30)
        uploaded = []
        form = await parser.parse()
        for file in form.getlist("files"):
            assert isinstance(file, UploadFile)
            self._files()[file.filename or ""] = await file.read()
            uploaded.append(file.filename)
        await form.close()
        return web.json_response({"uploaded_files": uploaded, "skipped_files": []})
