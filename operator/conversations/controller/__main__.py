"""`python -m conversations.controller`: the operator as a process."""

import asyncio
import gc
import logging
import sys

import kopf
import pydantic

from conversations.controller.handlers import register
from conversations.controller.http import serve
from conversations.controller.operator import Operator
from conversations.controller.settings import PREFIX, Settings

logger = logging.getLogger(__name__)


async def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT (0), or until a part of it fails (1)."""
    operator = Operator(settings)
    runner = await serve(operator, settings.port)
    registry = kopf.OperatorRegistry()
    register(registry, operator)
    try:
        await kopf.operator(
            registry=registry,
            namespaces=[settings.namespace],
            stop_flag=operator.over,
            # Or kopf asks the system for a user name, which a pod's uid need not have.
            identity=settings.identity,  # type: ignore[arg-type]
        )
    finally:
        await runner.cleanup()
    return 1 if operator.failed else 0


def configure_logging(settings: Settings) -> None:
    """kopf's own formats; its chatter about every event only when debugging."""
    form = kopf.LogFormat.JSON if settings.log_format == "json" else kopf.LogFormat.FULL
    kopf.configure(debug=settings.log_level == "DEBUG", log_format=form)
    logging.getLogger().setLevel(settings.log_level)
    for library in ("asyncio", "kopf", "httpx", "httpcore"):
        logging.getLogger(library).setLevel(logging.WARNING)


def main() -> int:
    try:
        settings = Settings.from_env()
    except pydantic.ValidationError as error:
        for problem in error.errors():
            field = "_".join(str(part) for part in problem["loc"]).upper()
            sys.stderr.write(f"{PREFIX}{field}: {problem['msg']}\n")
        return 2
    configure_logging(settings)
    gc.freeze()  # What was imported stays: no need to scan it again and again.
    return asyncio.run(run(settings))


if __name__ == "__main__":
    sys.exit(main())
