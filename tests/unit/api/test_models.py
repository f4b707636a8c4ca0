"""What readers of the resources may rely on."""

from conversations.api.conversation import Conversation


def test_a_newer_operators_words_do_not_keep_a_reader_from_reading() -> None:
    newer = {"metadata": {"name": "a"}, "spec": {"mode": "Asleep"}, "status": {"phase": "Dozing"}}
    assert Conversation.model_validate(newer).status.phase == "Dozing"
