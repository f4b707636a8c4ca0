"""
Make a `local` PersistentVolume for every claim of the class `standard`, and delete its data with it.

`local` volumes, unlike the controller manager's own host-path ones, honour fsGroup: the directory
starts as root's, 0755, as a fresh disk does, and kubelet opens it to the pod's group.
A directory belongs to one claim uid, ever, so no claim meets the files of another.
"""

import argparse
import http.client
import json
import logging
import re
import shutil
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PROVISIONER = "conversation-operator.io/local-directory"
STORAGE_CLASS = "standard"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
# Also the time after which a claim or a volume that could not be handled is tried again.
WATCH_SECONDS = 30
CLAIMS = "/api/v1/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"

Manifest = dict[str, Any]


class Refused(Exception):
    """The API server answered, and it was not a success."""


# ValueError: an answer that broke off in the middle of its JSON.
FAILURES = (OSError, http.client.HTTPException, ValueError, Refused)


class Api:
    """The few calls of the API server that a provisioner needs, with a client certificate."""

    def __init__(self, pki: Path, server: str) -> None:
        self._host = urlsplit(server).netloc
        self._tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._tls.load_cert_chain(pki / "provisioner.crt", pki / "provisioner.key")
        self._calls = self._connect()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self._host, context=self._tls, timeout=WATCH_SECONDS + 10
        )

    def call(self, method: str, path: str, body: Manifest | None = None) -> Manifest:
        """One request on the connection that is kept: a handshake costs more than the call."""
        payload = json.dumps(body) if body is not None else None
        try:
            self._calls.request(method, path, payload, {"Content-Type": "application/json"})
            response = self._calls.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            self._calls.close()  # The next request connects anew.
            raise
        if response.status >= 400:
            raise Refused(response.status, text.decode(errors="replace"))
        answer: Manifest = json.loads(text)
        return answer

    def watch(self, path: str) -> Iterator[Manifest]:
        connection = self._connect()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            if response.status >= 400:
                raise Refused(response.status, response.read().decode(errors="replace"))
            for line in response:
                yield json.loads(line)
        finally:
            connection.close()

    def objects(self, path: str) -> Iterator[Manifest]:
        """Every object there is, then every one that changes, for WATCH_SECONDS."""
        listed = self.call("GET", path)
        yield from listed["items"]
        version = listed["metadata"]["resourceVersion"]
        query = f"watch=1&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}"
        for event in self.watch(f"{path}?{query}"):
            if event["type"] in ("ADDED", "MODIFIED"):
                yield event["object"]
            elif event["type"] == "ERROR":
                return


def build_volume(claim: Manifest, directory: Path) -> Manifest:
    meta, spec = claim["metadata"], claim["spec"]
    on_node = {
        "key": "kubernetes.io/hostname",
        "operator": "In",
        "values": [meta["annotations"][SELECTED_NODE]],
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": directory.name,
            "annotations": {PROVISIONED_BY: PROVISIONER},
        },
        "spec": {
            "accessModes": spec["accessModes"],
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
            },
            "local": {"path": str(directory)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": STORAGE_CLASS,
        },
    }


class Provisioner:
    def __init__(self, api: Api, root: Path) -> None:
        self._api = api
        self._root = root

    def follow_claims(self) -> None:
        self._follow(CLAIMS, self.provision)

    def follow_volumes(self) -> None:
        self._follow(VOLUMES, self.reclaim)

    def _follow(self, path: str, handle: Callable[[Manifest], None]) -> None:
        """Handle every object, for ever.  What fails now is there again in the next listing."""
        while True:
            try:
                for thing in self._api.objects(path):
                    self._attempt(handle, thing)
            except FAILURES as error:
                logging.warning("%s: %s", path, error)
                time.sleep(1)

    def _attempt(self, handle: Callable[[Manifest], None], thing: Manifest) -> None:
        try:
            handle(thing)
        except FAILURES:
            logging.exception("could not handle %s", thing["metadata"]["name"])

    def provision(self, claim: Manifest) -> None:
        if (
            claim["spec"].get("storageClassName") != STORAGE_CLASS
            or claim["spec"].get("volumeName")
            or "deletionTimestamp" in claim["metadata"]
            or SELECTED_NODE not in claim["metadata"].get("annotations", {})
        ):
            return
        directory = self._root / f"pvc-{claim['metadata']['uid']}"
        directory.mkdir(mode=0o755, exist_ok=True)
        try:
            self._api.call("POST", VOLUMES, build_volume(claim, directory))
        except Refused as refused:
            if refused.args[0] != http.client.CONFLICT:
                raise
        logging.info("provisioned %s", directory.name)

    def reclaim(self, volume: Manifest) -> None:
        if (
            volume["metadata"].get("annotations", {}).get(PROVISIONED_BY) != PROVISIONER
            or volume["spec"]["persistentVolumeReclaimPolicy"] != "Delete"
            or volume.get("status", {}).get("phase") != "Released"
            or "deletionTimestamp" in volume["metadata"]
        ):
            return
        name = volume["metadata"]["name"]
        # Nothing but a directory this program made may ever be removed.
        if not re.fullmatch(r"pvc-[0-9a-f-]{36}", name):
            return
        shutil.rmtree(self._root / name, ignore_errors=False, onerror=_raise_unless_missing)
        self._api.call("DELETE", f"{VOLUMES}/{name}")
        logging.info("reclaimed %s", name)


def _raise_unless_missing(_function: object, _path: str, error: Any) -> None:
    if not issubclass(error[0], FileNotFoundError):
        raise error[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="URL of the API server")
    parser.add_argument(
        "--pki", type=Path, required=True, help="folder of ca, provisioner .crt and .key"
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of the volumes")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.root.mkdir(parents=True, exist_ok=True)
    # One connection each: an HTTP connection serves one thread.
    claims, volumes = (
        Provisioner(Api(options.pki, options.server), options.root) for _ in range(2)
    )
    threading.Thread(target=claims.follow_claims, daemon=True).start()
    volumes.follow_volumes()


if __name__ == "__main__":
    main()
