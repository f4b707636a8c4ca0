"""1 GiB each way, with flat memory: a minute of work, so it is apart from the quick tests."""

import logging
import os
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from conversations.runtime.agent_server import AgentServer

MIB = 1 << 20
BLOCK = os.urandom(MIB)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def blocks(count: int, peak: list[int]) -> AsyncIterator[bytes]:
    for number in range(count):
        peak.append(resident_bytes())
        yield number.to_bytes(8, "big") + BLOCK[8:]


async def digest(chunks: AsyncIterator[bytes], peak: list[int]) -> str:
    total = sha256()
    async for chunk in chunks:
        total.update(chunk)
        peak.append(resident_bytes())
    return total.hexdigest()


@pytest.mark.timeout(300)
async def test_one_gibibyte_up_and_down_with_flat_memory(
    runtime: AgentServer, workspace: Path
) -> None:
    before, peak = resident_bytes(), [0]
    started = time.monotonic()
    [uploaded] = await runtime.upload_files({"big": blocks(1024, peak)})
    up = time.monotonic() - started
    assert uploaded.size == 1024 * MIB
    started = time.monotonic()
    async with runtime.open_file("big") as stream:
        assert stream.size == 1024 * MIB
        received = await digest(aiter(stream), peak)
    down = time.monotonic() - started
    (workspace / "big").unlink()
    assert received == await digest(blocks(1024, peak), peak)
    grown = max(peak) - before
    logging.info("1 GiB up %.1f s, down %.1f s, grown by %.1f MiB", up, down, grown / MIB)
    assert grown < 48 * MIB
