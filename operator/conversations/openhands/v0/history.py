"""
The events of one conversation in the outer server's file store, where its routes read them.

The store's interface blocks, so all of this runs in threads.  Files are those of OpenHands; ours
is `mirror/mark.json` beside them: which of a pod's histories is being appended, and from which id on.
"""

import json
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from openhands.events import EventSource
from openhands.events.event_store import EventStore
from openhands.events.observation import ErrorObservation
from openhands.events.serialization.event import event_from_dict, event_to_dict
from openhands.storage.files import FileStore
from openhands.storage.locations import get_conversation_dir, get_conversation_event_filename

from conversations.openhands.v0.facts import Facts, Spent, read_time

MAX_EVENT_BYTES = 8 * 1024 * 1024
PAGE_EVENTS = EventStore.cache_size
MAX_PAGE_BYTES = 4 * 1024 * 1024
LOOK_BACK_EVENTS = 10
MAX_LISTED = 1000
"""From S3 comes no longer list, and OpenHands does not ask for the rest."""
MARK = "mark.json"
NAME = re.compile(r"[0-9]{1,15}\.json", re.ASCII)

LEFT_OUT = (
    "An event of this conversation was left out of the history: it is too large or makes no sense."
)


@dataclass(frozen=True)
class Mark:
    """A pod's history within ours: its first event's time names it, its id 0 is our id `offset`."""

    first_time: str
    offset: int = 0
    spent: Spent = field(default_factory=Spent)
    """What the histories before it had cost."""


class Stopped(Exception):
    """The conversation is gone: nothing more may be written."""


class History:
    """One conversation's events.  Several processes may append the same ones: the result is the same."""

    def __init__(self, file_store: FileStore, sid: str, user_id: str | None) -> None:
        self._store = file_store
        self._sid = sid
        self._user_id = user_id
        self._recent: deque[tuple[int, str]] = deque(maxlen=PAGE_EVENTS)

    def locate(self, first_time: str) -> tuple[Mark, int, Facts]:
        """
        Where the history that begins at `first_time` lies in ours, our next id, and what is known.

        One that is not there yet is to be appended: a pod that lost its volume begins again at 0,
        and what was before it stays.
        """
        # In this order: whoever wrote events of a later history has written its mark before.
        end = self._find_end()
        mark = self._read_mark() or self._old_mark(end)
        if mark is not None and mark.first_time == first_time:
            return mark, max(end, mark.offset), self._look_back(mark.offset, end, LOOK_BACK_EVENTS)
        spent = Spent()
        if mark is not None:
            spent = mark.spent + (self._look_back(mark.offset, end, end).spent or Spent())
        mark = Mark(first_time, end, spent)
        self._store.write(self._mark_path, json.dumps(asdict(mark)))
        return mark, end, Facts()

    def append(
        self, events: Sequence[Mapping[str, Any]], offset: int, wanted: Callable[[], bool]
    ) -> None:
        """Write a pod's events, in order.  Stopped as soon as they are not wanted any more."""
        for event in events:
            if not wanted():
                raise Stopped
            number = event["id"] + offset
            text = encode(event, number, offset)
            self._store.write(self._event_path(number), text)
            self._recent.append((number, text))
            self._write_page(number + 1)

    def _write_page(self, end: int) -> None:
        """What makes OpenHands read 25 events at once; without it, it reads them one by one."""
        start = end - PAGE_EVENTS
        ids = [number for number, _ in self._recent]
        texts = [text for _, text in self._recent]
        if end % PAGE_EVENTS or ids != list(range(start, end)):
            return
        if sum(map(len, texts)) <= MAX_PAGE_BYTES:
            path = f"{self._directory}event_cache/{start}-{end}.json"
            self._store.write(path, f"[{','.join(texts)}]")

    def _find_end(self) -> int:
        ids = [int(name[:-5]) for name in self._list("events/") if NAME.fullmatch(name)]
        end = max(ids, default=-1) + 1
        if len(ids) >= MAX_LISTED:
            end = self._probe(end)
        # A crash may have left half of the last one behind.
        return end - 1 if end and self._is_broken(self._event_path(end - 1)) else end

    def _probe(self, end: int) -> int:
        """The end of a history whose list ended too soon, from an id that it has."""
        step = 1
        while self._goes_on(end + step):
            step *= 2
        first, last = end + step // 2, end + step
        while first < last:
            middle = (first + last) // 2
            first, last = (middle + 1, last) if self._goes_on(middle) else (first, middle)
        return first

    def _goes_on(self, number: int) -> bool:
        # Not one only: an id may be missing.
        return any(self._read(self._event_path(number + more)) for more in range(3))

    def _old_mark(self, end: int) -> Mark | None:
        """For a history that was begun without one, by another manager."""
        if not end or "0.json" not in self._list("events/"):
            return None
        time = json.loads(self._store.read(self._event_path(0))).get("timestamp")
        return Mark(time) if isinstance(time, str) else None

    def _look_back(self, start: int, end: int, at_most: int) -> Facts:
        found = Facts()
        for number in range(end - 1, max(start, end - at_most) - 1, -1):
            facts = Facts().after([self._read(self._event_path(number)) or {}])
            found = Facts(found.last_time or facts.last_time, facts.spent)
            if facts.spent is not None:
                break
        return found

    def _read_mark(self) -> Mark | None:
        if MARK not in self._list("mirror/"):
            return None
        # It is there, so an error is an error: to take it for missing would append all again.
        known = json.loads(self._store.read(self._mark_path))
        return Mark(known["first_time"], known["offset"], Spent(**known["spent"]))

    def _list(self, below: str) -> set[str]:
        try:
            return {path.rsplit("/", 1)[-1] for path in self._store.list(self._directory + below)}
        except FileNotFoundError:
            return set()

    def _read(self, path: str) -> dict[str, Any] | None:
        try:
            found = json.loads(self._store.read(path))
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _is_broken(self, path: str) -> bool:
        try:
            json.loads(self._store.read(path))
        except FileNotFoundError:
            return False
        except ValueError:
            return True
        return False

    def _event_path(self, number: int) -> str:
        path: str = get_conversation_event_filename(self._sid, number, self._user_id)
        return path

    @property
    def _directory(self) -> str:
        directory: str = get_conversation_dir(self._sid, self._user_id)
        return directory

    @property
    def _mark_path(self) -> str:
        return f"{self._directory}mirror/{MARK}"


def encode(event: Mapping[str, Any], number: int, offset: int) -> str:
    """
    The text of an event's file: what OpenHands can read and pass on under our id.

    One that it could not read would break every answer about the conversation: a note stands
    in its place.
    """
    try:
        return _encode(event, number, offset)
    except Exception:  # OpenHands' parsers raise whatever their constructors do.
        return note(number, event.get("timestamp"))


def _encode(event: Mapping[str, Any], number: int, offset: int) -> str:
    shifted = dict(event) | {"id": number}
    if offset and isinstance(event.get("cause"), int):
        shifted["cause"] = event["cause"] + offset
    text = json.dumps(shifted, allow_nan=False)
    if len(text) > MAX_EVENT_BYTES or read_time(event.get("timestamp")) is None:
        raise ValueError
    json.dumps(shifted, ensure_ascii=False).encode()  # Half of a surrogate pair fails here.
    event_to_dict(event_from_dict(json.loads(text)))
    return text


def note(number: int, time: object) -> str:
    """The text of an event that says that one is missing."""
    missing = ErrorObservation(LEFT_OUT)
    missing._id = number
    missing._source = EventSource.ENVIRONMENT
    known = time if read_time(time) is not None else None
    missing._timestamp = known or datetime.now(UTC).replace(tzinfo=None).isoformat()
    return json.dumps(event_to_dict(missing))
