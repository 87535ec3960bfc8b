"""What the facade answers when it can't do what was asked; each knows its HTTP status."""

from __future__ import annotations

from understudy.actors.query import Error
from understudy.objects.ids import StepId


class NodeError(Exception):
    """The node could not do what was asked. `title` names the kind, the text says what was wrong and what to do."""

    status = 500
    title = "The node could not do this"

    @property
    def detail(self) -> str:
        """The sentence for a person."""
        return str(self)


class BadRequest(NodeError):
    """What was asked makes no sense as it is written."""

    status, title = 400, "Bad request"


class Ambiguous(BadRequest):
    """The beginning of an id that several actors share."""

    title = "Ambiguous id"


class NotFound(NodeError):
    """There is no such actor, step or message."""

    status, title = 404, "Not found"


class Conflict(NodeError):
    """A name is in use, or a head moved."""

    status, title = 409, "Conflict"


class KeyReused(Conflict):
    """An idempotency key was used before, for another request."""

    title = "Idempotency key reused"


class TooLarge(NodeError):
    """Over one of the bounds."""

    status, title = 413, "Too large"


class Rejected(NodeError):
    """The core, the patch or the message can't be accepted; nothing was stored."""

    status, title = 422, "Rejected"


class WrongTimers(Rejected):
    """Files below `/timers` that are no timers."""


class NotThatStep(NotFound):
    """`at` is no step, or not a durable one of this actor."""

    title = "Not a step of this actor"


class NoQueries(NotFound):
    """The actor has no queries at this step."""

    title = "No queries"


class UnknownQuery(NotFound):
    """The actor has queries, but none of this name."""

    title = "Unknown query"


class BadArguments(NodeError):
    """The query's arguments are not what it asks for; the text names the one and what was expected."""

    status, title = 422, "Bad arguments"


class QueryRefused(NodeError):
    """The query itself answered with an error: `error`, at `step`."""

    status, title = 422, "The query answered with an error"

    def __init__(self, error: Error, step: StepId) -> None:
        super().__init__(f"{error.code}: {error.text}")
        self.error = error
        self.step = step


class QueryFailed(NodeError):
    """The query's code failed or could not be loaded. `code` is one word; the text has the place and the source line."""

    title = "The query failed"

    def __init__(self, code: str, text: str, step: StepId) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.step = step


class QueryTimeout(NodeError):
    """The query had no answer when its deadline passed."""

    status, title = 504, "The query took too long"


class Busy(NodeError):
    """More is queued than the node takes at once; ask again later."""

    status, title = 503, "Busy"
    retry_after = 1


class Held(NodeError):
    """The actor ended the process before, or holds because its code failed; the text says how to cure it."""

    status, title = 503, "Held"


class NodeFailed(NodeError):
    """The node stopped working because its store failed; what was acknowledged is safe."""

    status, title = 503, "The node stopped"
    retry_after = 30
