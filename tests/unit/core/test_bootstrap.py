"""Single decisions of the bootstrap, beside what the model tests cover."""

from typing import Any

import pytest

from conversations.api.reasons import Reason
from conversations.core.attempt import Outcome, learn, look_again
from conversations.core.bootstrap import GiveUp, Wait, begin, next_step
from conversations.core.declared import Declared
from conversations.core.errors import RuntimeUnavailable
from conversations.core.nested import UNREADABLE, Answer, Request, Step
from tests.unit.core.nested_model import SID, NestedModel

FIRST = {"initial_user_msg": "hi"}
SECRETS = {"secrets": [{"name": "A", "value": "hush"}]}
TOKENS = {"provider_tokens": {"github": {"token": "hush"}}}


def run(
    declared: Declared, server: NestedModel, *, instead: dict[Step, Answer] | None = None
) -> Outcome | GiveUp:
    """One attempt to its end; `instead` answers some steps."""
    attempt, now = begin(declared), 0.0
    for _ in range(2000):
        step = next_step(declared, attempt, now)
        now += 1.0
        match step:
            case Outcome() | GiveUp():
                return step
            case Wait():
                server.tick()
                attempt = look_again(attempt)
            case Request():
                answer = (instead or {}).get(step.step) or server.answer(step)
                attempt = learn(declared, attempt, step, answer, now)
    raise AssertionError("it does not end")


def steps(server: NestedModel) -> list[Step]:
    """What was told, without the looks."""
    return [request.step for request in server.requests if request.method != "GET"]


def test_the_order_of_a_first_start() -> None:
    server = NestedModel()
    declared = Declared(SID, FIRST, SECRETS | TOKENS)
    assert run(declared, server) == Outcome(configured=True, told=True)
    assert steps(server) == [Step.SETTINGS, Step.TOKENS, Step.SECRET, Step.CREATE]


def test_a_later_start_creates_nothing() -> None:
    server, declared = NestedModel(), Declared(SID, FIRST, SECRETS)
    run(declared, server)
    server.requests.clear()
    server.restart()
    server.just_restarted = False
    run(declared, server)
    assert steps(server) == [Step.SETTINGS, Step.SECRET, Step.START]
    assert server.messages == 1


def test_a_conversation_that_runs_is_left_alone() -> None:
    server, declared = NestedModel(), Declared(SID, FIRST, SECRETS)
    run(declared, server)
    server.requests.clear()
    assert run(declared, server) == Outcome(configured=True, told=True)
    assert steps(server) == []


def test_other_settings_than_those_it_runs_with_are_not_told() -> None:
    server = NestedModel()
    run(Declared(SID, FIRST, SECRETS), server)
    server.requests.clear()
    assert run(Declared(SID, FIRST, TOKENS), server) == Outcome(configured=True, told=False)
    assert steps(server) == []


def test_what_an_earlier_attempt_told_is_taken_back() -> None:
    server = NestedModel()
    old = {"llm_base_url": "http://old", "llm_api_key": "k", "user_version": 1}
    server.settings, server.tokens, server.secrets = old, {"gitlab": {}}, {"A": "old", "B": "old"}
    run(Declared(SID, FIRST, {"settings": {"llm_model": "m"}, **SECRETS}), server)
    assert server.settings is not None
    assert (server.settings["llm_base_url"], server.settings["llm_api_key"]) == (None, None)
    assert (server.tokens, server.secrets) == ({}, {"A": "hush"})


def test_a_secret_stored_meanwhile_is_removed_before_the_start() -> None:
    server, declared = NestedModel(), Declared(SID, FIRST, SECRETS)
    attempt = begin(declared)
    while not isinstance(step := next_step(declared, attempt, 0.0), Outcome):
        if isinstance(step, Wait):
            server.tick()
            attempt = look_again(attempt)
            continue
        assert isinstance(step, Request)
        if step.step is Step.SECRET:
            server.secrets["FOREIGN"] = "x"
        attempt = learn(declared, attempt, step, server.answer(step), 0.0)
    assert server.session is not None and server.session.told[2] == {"A": "hush"}


def test_tokens_rejected_at_the_first_start_keep_it_from_starting() -> None:
    server = NestedModel(valid_tokens=False)
    outcome = run(Declared(SID, FIRST, TOKENS), server)
    assert isinstance(outcome, Outcome) and not outcome.configured
    assert outcome.finding is not None and outcome.finding.reason == Reason.PROVIDERS_REJECTED
    assert not server.exists


@pytest.mark.parametrize("answer", [Answer(401), Answer(422), Answer(None)])
def test_tokens_rejected_later_are_a_warning(answer: Answer) -> None:
    server = NestedModel()
    declared = Declared(SID, FIRST, TOKENS, configured_before=True)
    outcome = run(declared, server, instead={Step.TOKENS: answer})
    assert isinstance(outcome, Outcome) and outcome.configured
    assert outcome.finding is not None and outcome.finding.reason == Reason.PROVIDERS_REJECTED


def test_a_start_that_fails_silently_is_repeated_once_then_given_up() -> None:
    server = NestedModel(fails_next=1)
    assert run(Declared(SID, FIRST, SECRETS), server) == Outcome(configured=True, told=True)
    assert (steps(server)[-3:], server.messages) == ([Step.CREATE, Step.STOP, Step.CREATE], 1)

    hopeless = run(Declared(SID, FIRST, SECRETS), NestedModel(fails_next=9))
    assert isinstance(hopeless, GiveUp) and "its agent did not start in 120 s" in hopeless.message


def test_a_conversation_begun_without_its_message_is_created_again() -> None:
    server = NestedModel()
    run(Declared(SID, None, SECRETS), server)
    assert run(Declared(SID, FIRST, SECRETS), server) == Outcome(configured=True, told=True)
    assert (steps(server)[-2:], server.messages) == ([Step.STOP, Step.CREATE], 1)


def test_a_long_history_is_searched_from_its_beginning() -> None:
    server, declared = NestedModel(), Declared(SID, FIRST, SECRETS)
    run(declared, server)
    for _ in range(200):
        server.add({"source": "agent", "action": "think"})
    server.restart()
    server.just_restarted = False
    run(declared, server)
    assert (steps(server)[-1], server.messages) == (Step.START, 1)


def test_a_set_up_script_gets_the_time_that_openhands_gives_it() -> None:
    server, declared = NestedModel(), Declared(SID, FIRST, SECRETS)
    run(Declared(SID, None, SECRETS), server)
    server.restart()
    server.just_restarted = False
    attempt, waited = begin(declared), 0.0
    while waited < 650.0:
        step = next_step(declared, attempt, waited)
        assert not isinstance(step, Outcome | GiveUp)
        if isinstance(step, Wait):
            waited += 10.0
            attempt = look_again(attempt)
            continue
        assert step.step is not Step.STOP
        attempt = learn(declared, attempt, step, server.answer(step), waited)
        if step.step is Step.CREATE and server.session is not None:
            server.session.initialized = True
            server.add({"source": "environment", "action": "run"})


REFUSALS: list[tuple[Step, Answer, str]] = [
    (Step.SETTINGS, Answer(422, {"detail": "hush"}), "settings: the nested server answered 422."),
    (Step.SECRET, Answer(422), "secrets: the nested server answered 422."),
    (
        Step.CREATE,
        Answer(400, {"msg_id": "STATUS$ERROR_LLM_AUTHENTICATION", "message": "hush"}),
        "creation: the nested server answered 400: the settings have no API key for the model.",
    ),
    (Step.CREATE, Answer(400, {"msg_id": "hush"}), "creation: the nested server answered 400."),
    (
        Step.CREATE,
        Answer(401, "hush"),
        "creation: the nested server answered 401: "
        "the repository's provider cannot be reached from the pod, or does not give it away.",
    ),
]


@pytest.mark.parametrize(("step", "answer", "message"), REFUSALS)
def test_a_refusal_names_step_and_status_and_no_body(
    step: Step, answer: Answer, message: str
) -> None:
    declared = Declared(SID, FIRST | {"repository": "owner/name"}, SECRETS)
    outcome = run(declared, NestedModel(), instead={step: answer})
    assert isinstance(outcome, Outcome) and outcome.finding is not None
    assert (outcome.configured, outcome.finding.reason) == (False, Reason.CONFIGURATION_REJECTED)
    assert outcome.finding.message == message


def test_without_settings_the_server_says_so() -> None:
    outcome = run(Declared(SID, FIRST, None), NestedModel())
    assert isinstance(outcome, Outcome) and outcome.finding is not None
    assert (
        outcome.finding.message == "creation: the nested server answered 400: it has no settings."
    )


def test_settings_lost_to_a_restart_in_mid_attempt_are_no_refusal() -> None:
    answer = Answer(400, {"msg_id": "CONFIGURATION$SETTINGS_NOT_FOUND"})
    with pytest.raises(RuntimeUnavailable, match="creation: the nested server answered 400"):
        run(Declared(SID, FIRST, SECRETS), NestedModel(), instead={Step.CREATE: answer})


@pytest.mark.parametrize("step", [s for s in Step if s not in (Step.UNSET, Step.REMOVE, Step.STOP)])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, {"x": "hush"}),
        Answer(502, UNREADABLE),
        Answer(429, None),
        Answer(401, {"detail": "Unauthorized"}),
        Answer(307, None),
        Answer(200, UNREADABLE),
        Answer(200, ["hush"]),
        Answer(204, None),
    ],
)
def test_every_disturbance_is_one_that_may_pass(step: Step, answer: Answer) -> None:
    server = NestedModel()
    if step in (Step.START, Step.OLDEST):
        run(Declared(SID, FIRST, SECRETS), server)
        for _ in range(50):
            server.add({"source": "agent", "action": "think"})
        server.restart()
        server.just_restarted = False
    if step is Step.TOKENS and answer.status == 401:
        return  # The provider's word on the tokens.
    with pytest.raises(RuntimeUnavailable) as raised:
        run(Declared(SID, FIRST, SECRETS | TOKENS), server, instead={step: answer})
    assert str(raised.value).startswith(f"{step}: ")
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    "body",
    [
        {"status": "DREAMING"},
        {"status": ["RUNNING"]},
        {},
        "RUNNING",
        {"status": "RUNNING", "events": 1},
    ],
)
def test_nonsense_about_the_conversation_may_pass(body: Any) -> None:
    declared = Declared(SID, FIRST, SECRETS)
    with pytest.raises(RuntimeUnavailable, match="makes no sense"):
        run(
            declared,
            NestedModel(),
            instead={Step.LOOK: Answer(200, body), Step.NEWEST: Answer(200, body)},
        )


def test_another_conversations_id_is_nonsense() -> None:
    answer = Answer(200, {"status": "ok", "conversation_id": "other"})
    with pytest.raises(RuntimeUnavailable, match="creation: the nested server's answer"):
        run(Declared(SID, FIRST, SECRETS), NestedModel(), instead={Step.CREATE: answer})


def test_names_that_no_request_could_remove_are_left() -> None:
    server = NestedModel()
    names = Answer(200, {"custom_secrets": [{"name": "a/b"}, {"name": ".."}, {"name": ""}, {}]})
    outcome = run(Declared(SID, FIRST, {"settings": {}}), server, instead={Step.NAMES: names})
    assert outcome == Outcome(configured=True, told=True)


def test_what_cannot_be_told_is_refused_without_a_request() -> None:
    declared = Declared("a/b", FIRST, SECRETS)
    outcome = next_step(declared, begin(declared), 0.0)
    assert isinstance(outcome, Outcome) and outcome.finding is not None
    assert outcome.finding.reason == Reason.CONFIGURATION_REJECTED
