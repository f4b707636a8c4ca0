"""
The bootstrap against a model of the nested server, disturbed at every point.

However often bootstraps are cut short, run beside each other, lose answers, meet a new container or find other
settings declared: once they are left alone the conversation runs, as one set of settings says, with its message once.
"""

from collections.abc import Iterator
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from conversations.core.attempt import Attempt, Outcome, learn, look_again
from conversations.core.bootstrap import GiveUp, Wait, begin, next_step
from conversations.core.declared import Declared
from conversations.core.errors import RuntimeUnavailable
from tests.unit.core.nested_model import SID, Gone, NestedModel

Disturbance = Literal[
    "cut before", "cut after", "restart", "restart after", "other settings", "tick", "fail"
]
DISTURBANCES = st.sampled_from(Disturbance.__args__)  # type: ignore[attr-defined]
FIRSTS = st.sampled_from(
    [None, {"initial_user_msg": "hi"}, {"image_urls": ["data:x"]}, {"initial_user_msg": None}]
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from("ABC"), unique=True))
    tokens = draw(st.booleans())
    return {
        "settings": {
            "llm_model": draw(st.sampled_from(["m1", "m2"])),
            "llm_api_key": draw(st.sampled_from(["k1", "k2"])),
            "llm_base_url": draw(st.sampled_from([None, "http://a", "http://b"])),
        },
        "provider_tokens": {"github": {"token": "t"}} if tokens else {},
        "secrets": [{"name": name, "value": draw(st.sampled_from("12"))} for name in names],
    }


class Bootstrap:
    """One attempt after the other; `step` does one thing of it."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self.attempt = begin(declared)
        self.outcome: Outcome | None = None

    def cut(self) -> None:
        self.attempt = begin(self.declared)

    def step(self, server: NestedModel, clock: float, *, lose: bool = False) -> None:
        if self.outcome is not None:
            return
        match step := next_step(self.declared, self.attempt, clock):
            case Outcome():
                self.outcome = step
            case GiveUp():
                self.cut()
            case Wait():
                server.tick()
                self.attempt = look_again(self.attempt)
            case _:
                try:
                    answer = server.answer(step)
                    known: Attempt = learn(self.declared, self.attempt, step, answer, clock)
                except (Gone, RuntimeUnavailable):
                    return self.cut()
                self.attempt = begin(self.declared) if lose else known
        return None


def clocks() -> Iterator[float]:
    """Slow enough that every patience ends."""
    now = 0.0
    while True:
        now += 7.0
        yield now


def run_undisturbed(
    bootstraps: list[Bootstrap], server: NestedModel, clock: Iterator[float]
) -> None:
    for _ in range(400):
        for bootstrap in bootstraps:
            bootstrap.step(server, next(clock))
        if all(bootstrap.outcome for bootstrap in bootstraps):
            return
    raise AssertionError(f"it does not end: {server.requests[-9:]}")


def expected(declared: Declared) -> tuple[Any, ...]:
    """What a session is told by these documents, from an empty server."""
    fresh = NestedModel()
    run_undisturbed([Bootstrap(declared)], fresh, clocks())
    assert fresh.session is not None
    return fresh.session.told


@given(
    first=FIRSTS,
    versions=st.lists(documents(), min_size=1, max_size=3),
    plan=st.lists(st.tuples(st.integers(0, 14), DISTURBANCES), max_size=8),
)
@settings(max_examples=100, deadline=None)
def test_it_ends_running_as_declared(
    first: dict[str, Any] | None,
    versions: list[dict[str, Any]],
    plan: list[tuple[int, Disturbance]],
) -> None:
    server, clock, version = NestedModel(), clocks(), 0
    bootstrap = Bootstrap(Declared(SID, first, versions[0]))
    for quiet, disturbance in plan:
        for _ in range(quiet):
            bootstrap.step(server, next(clock))
        if disturbance == "cut before":
            bootstrap.cut()
        if disturbance == "restart":
            server.restart()
        if disturbance == "other settings":
            version = (version + 1) % len(versions)
            bootstrap = Bootstrap(Declared(SID, first, versions[version]))
        if disturbance == "tick":
            server.tick()
        server.fails_next = 1 if disturbance == "fail" else 0
        bootstrap.step(server, next(clock), lose=disturbance == "cut after")
        if disturbance == "restart after":
            server.restart()
        if bootstrap.outcome and server.just_restarted:
            bootstrap = Bootstrap(bootstrap.declared)
    server.fails_next = 0
    run_undisturbed([bootstrap], server, clock)
    if server.just_restarted:  # As it had just finished.
        bootstrap = Bootstrap(bootstrap.declared)
        run_undisturbed([bootstrap], server, clock)

    assert bootstrap.outcome is not None and bootstrap.outcome.configured
    assert_runs(server, bootstrap, [Declared(SID, first, document) for document in versions])


def assert_runs(server: NestedModel, bootstrap: Bootstrap, declared: list[Declared]) -> None:
    assert server.session is not None and server.session.looping
    assert server.messages == (1 if declared[0].wants_message else 0)
    assert server.session.told in [expected(one) for one in declared]
    if bootstrap.outcome is not None and bootstrap.outcome.told:
        assert server.session.told == expected(bootstrap.declared)


@given(
    first=FIRSTS,
    document=documents(),
    turns=st.lists(st.tuples(st.integers(0, 2), DISTURBANCES), max_size=60),
)
@settings(max_examples=100, deadline=None)
def test_any_number_at_once_with_the_same_settings(
    first: dict[str, Any] | None, document: dict[str, Any], turns: list[tuple[int, Disturbance]]
) -> None:
    server, clock = NestedModel(), clocks()
    declared = Declared(SID, first, document)
    bootstraps = [Bootstrap(declared) for _ in range(3)]
    for number, disturbance in turns:
        if disturbance == "cut before":
            bootstraps[number].cut()
        if disturbance == "tick":
            server.tick()
        bootstraps[number].step(server, next(clock), lose=disturbance == "cut after")
    run_undisturbed(bootstraps, server, clock)

    for bootstrap in bootstraps:
        assert bootstrap.outcome == Outcome(configured=True, told=True)
        assert_runs(server, bootstrap, [declared])
