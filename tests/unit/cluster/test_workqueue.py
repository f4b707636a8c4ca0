"""The workqueue against a model simple enough to be seen to be right."""

import asyncio
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from conversations.cluster.workqueue import BASE_DELAY_SECONDS, MAX_DELAY_SECONDS, WorkQueue
from tests.small_api.virtual_time import VirtualTimeLoop

KEYS = st.sampled_from("abc")
SECONDS = st.sampled_from([-1.0, 0.0, 0.05, 1.0, 2.0, 30.0, 90.0])


class QueueMachine(RuleBasedStateMachine):
    """Keys are added, handed to workers and given back in every order; workers give up waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        asyncio.set_event_loop(self.loop)
        self.queue: WorkQueue[str] = WorkQueue()
        self.waiting: list[asyncio.Task[str | None]] = []
        self.held: list[str] = []
        self.closed = False
        # The model: keys that want a look, in order, and when others will.
        self.wanted: list[str] = []
        self.again: set[str] = set()
        self.due: dict[str, float] = {}
        self.failures: Counter[str] = Counter()

    def teardown(self) -> None:
        self.queue.shut_down()
        self.loop.settle()
        assert all(task.done() for task in self.waiting), "a worker waits for a closed queue"
        self.loop.close()
        asyncio.set_event_loop(None)

    def want(self, key: str) -> None:
        if self.closed or key in self.wanted or key in self.again:
            return
        if key in self.held:
            self.again.add(key)
        else:
            self.wanted.append(key)

    def want_at(self, key: str, seconds: float) -> None:
        if seconds <= 0:
            self.want(key)
        elif not self.closed:
            when = self.loop.time() + seconds
            if when < self.due.get(key, float("inf")):
                self.due.pop(key, None)  # Of equal deadlines, the one set first comes first.
                self.due[key] = when

    def hand_out(self) -> None:
        """Whoever waits gets what is wanted, longest wish first; the real queue must agree."""
        self.loop.settle()
        for task in [task for task in self.waiting if task.done()]:
            self.waiting.remove(task)
            key = task.result()
            if key is None:
                assert self.closed, "None before the queue was shut down"
                continue
            assert self.wanted, f"{key} was handed out and nobody wanted it"
            assert key == self.wanted.pop(0)
            assert key not in self.held, f"two workers have {key}"
            self.held.append(key)
        assert not (self.wanted and self.waiting), "a key and a worker wait for each other"

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.queue.add(key)
        self.want(key)
        self.hand_out()

    @rule(key=KEYS, seconds=SECONDS)
    def add_after(self, key: str, seconds: float) -> None:
        self.loop.call_soon(self.queue.add_after, key, seconds)
        self.want_at(key, seconds)
        self.hand_out()

    @rule(key=KEYS, at_least=st.sampled_from([0.0, 7.0]))
    def retry(self, key: str, at_least: float) -> None:
        expected = min(MAX_DELAY_SECONDS, BASE_DELAY_SECONDS * 2 ** self.failures[key])
        expected = max(at_least, expected)
        self.failures[key] += 1

        async def retry() -> float:
            return self.queue.retry(key, at_least)

        assert self.loop.finish(retry()) == expected
        self.want_at(key, expected)
        self.hand_out()

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.queue.forget(key)
        self.failures.pop(key, None)

    @rule()
    def work(self) -> None:
        self.waiting.append(self.loop.create_task(self.queue.get()))
        self.hand_out()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.held)))
        self.held.remove(key)
        self.queue.done(key)
        if key in self.again:
            self.again.remove(key)
            self.wanted.append(key)
        self.hand_out()

    @precondition(lambda self: self.waiting)
    @rule()
    def a_worker_gives_up(self) -> None:
        self.waiting.pop().cancel()
        self.hand_out()

    @precondition(lambda self: self.waiting)
    @rule(key=KEYS)
    def a_worker_gives_up_as_its_key_comes(self, key: str) -> None:
        self.queue.add(key)
        self.want(key)
        self.waiting.pop(0).cancel()
        self.hand_out()

    @rule(seconds=st.sampled_from([0.05, 1.0, 45.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        end = self.loop.time() + seconds
        for key, when in sorted(self.due.items(), key=lambda item: item[1]):
            if when <= end:
                del self.due[key]
                self.want(key)
        self.loop.advance(seconds)
        self.hand_out()

    @rule(sure=st.integers(0, 9))
    def shut_down(self, sure: int) -> None:
        if sure == 9:
            self.queue.shut_down()
            self.closed = True
            self.wanted.clear()
            self.again.clear()
            self.due.clear()
            self.hand_out()

    @invariant()
    def says_what_is_true(self) -> None:
        assert len(self.queue) == len(self.wanted)
        assert self.queue.held == len(self.held)


TestWorkQueue = QueueMachine.TestCase
TestWorkQueue.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
