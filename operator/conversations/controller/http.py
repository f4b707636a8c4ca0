"""/livez, /readyz and /metrics."""

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from conversations.controller.metrics import REGISTRY
from conversations.controller.operator import Operator


async def serve(operator: Operator, port: int) -> web.AppRunner:
    """Answer on all interfaces until the runner is cleaned up."""

    async def livez(_: web.Request) -> web.Response:
        return _verdict(operator.is_live)

    async def readyz(_: web.Request) -> web.Response:
        return _verdict(operator.is_ready)

    async def metrics(_: web.Request) -> web.Response:
        operator.measure()
        # aiohttp wants the charset apart; prometheus-client has it inside.
        return web.Response(
            body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app = web.Application()
    app.add_routes(
        [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


def _verdict(good: bool) -> web.Response:
    return web.Response(text="ok\n" if good else "not ok\n", status=200 if good else 503)
