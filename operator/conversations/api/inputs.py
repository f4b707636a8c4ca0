"""What a Conversation says of the Secrets that hold its inputs."""

from typing import Annotated

from pydantic import Field

from conversations.api.meta import ApiModel

InputHash = Annotated[
    str | None,
    Field(default=None, min_length=64, max_length=64, pattern="^[0-9a-f]{64}$"),
]


class Inputs(ApiModel):
    """
    Hashes of the Secrets that hold what the runtime is to be told; the start waits for them.

    A hash names the content, so that nobody can have a Secret delivered that he cannot read.
    """

    first: Annotated[
        InputHash,
        Field(
            description="Of Secret `<name>.first`: initial message, replay, repository.  Delivered once.  Immutable."
        ),
    ]
    settings: Annotated[
        InputHash,
        Field(
            description="Of Secret `<name>.settings`: LLM settings, provider tokens, user secrets.  A change acts at "
            "the next start of the container."
        ),
    ]
    env: Annotated[
        InputHash,
        Field(
            description="Of Secret `<name>.env`: environment variables that are secret.  A change acts at the next start."
        ),
    ]


_FIRST = "(has({0}.inputs) && has({0}.inputs.first) ? {0}.inputs.first : '')"

FIRST_IS_IMMUTABLE = (
    f"{_FIRST.format('self')} == {_FIRST.format('oldSelf')}",
    "spec.inputs.first is immutable: delete the Conversation and make another one",
)
"""CEL rule of the spec: it holds where inputs are set for the first time, too."""
