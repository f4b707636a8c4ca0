"""The mirror on FILE_STORE=s3, where several servers share a history."""

from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer
from openhands.core.config.openhands_config import OpenHandsConfig
from openhands.storage import get_file_store

from tests.openhands.rig.mirroring import Declared, Store, add, mirroring, wait_ids
from tests.rig.waiting import eventually

BUCKET = "histories"
SID = "0123456789abcdef"


class S3Store(Store):
    """As the outer server has it with FILE_STORE=s3."""

    def __init__(self) -> None:
        self.config = OpenHandsConfig(file_store="s3", file_store_path=BUCKET)
        self.files = get_file_store("s3", BUCKET)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_S3_SECURE": "false",
        "AWS_S3_ENDPOINT": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket=BUCKET)
    yield S3Store()
    server.stop()


async def test_two_servers_share_a_history_on_s3(declared: Declared, s3: S3Store) -> None:
    await s3.save(SID, title="Conversation 01234")
    nested = await declared.run(SID)
    nested.volume.title = "Fix the tests"
    add(nested, 60)
    async with mirroring(declared, s3), mirroring(declared, s3):
        await wait_ids(s3, SID, 60)

        async def titled() -> bool:
            return (await s3.metadata(SID)).title == "Fix the tests"

        # Only this pod knows it.
        await eventually(titled, 10, "the title")
        add(await declared.replace_pod(SID, "second"), 10)
        await wait_ids(s3, SID, 70)
        assert await titled()
    async with mirroring(declared, s3):
        add(declared.nested[SID], 1)
        await wait_ids(s3, SID, 71)
    assert s3.files.read(f"sessions/{SID}/event_cache/25-50.json")
