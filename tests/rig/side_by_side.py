"""Running the parameters of a test module at the same time, because most of their time is waiting."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Complaints = dict[str, list[str]]
"""By the point at which a run was disturbed: what was wrong with it.  Empty is good."""
Run = Callable[[], Awaitable[Complaints]]


def selected(request: pytest.FixtureRequest, parameter: str) -> list[Any]:
    """The values of that parameter among the tests of the module that will run, without repeats."""
    values = []
    for item in request.session.items:
        callspec = getattr(item, "callspec", None)
        if item.path == request.path and callspec and parameter in callspec.params:
            value = callspec.params[parameter]
            values += [] if value in values else [value]
    return values


def side_by_side(runs: dict[str, Run]) -> dict[str, Complaints]:
    """The complaints of each run; one that breaks down complains of just that."""
    return asyncio.run(gathered(runs))


async def gathered(runs: dict[str, Run]) -> dict[str, Complaints]:
    """The same within a running loop."""
    found = await asyncio.gather(*(_guarded(run) for run in runs.values()))
    return dict(zip(runs, found, strict=True))


async def _guarded(run: Run) -> Complaints:
    try:
        return await run()
    except AssertionError as error:
        return {"the run itself": [str(error)]}
    except Exception as error:
        return {"the run itself": traceback.format_exception(error)}


def told(complaints: Complaints) -> str:
    """For the failing test's message."""
    return "\n".join(f"{point}: {line}" for point, lines in complaints.items() for line in lines)
