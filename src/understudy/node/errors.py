"""What the facade answers when it can't do what was asked; each knows its HTTP status."""

from __future__ import annotations


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


class Busy(NodeError):
    """More is queued than the node takes at once; ask again later."""

    status, title = 503, "Busy"
    retry_after = 1


class NodeFailed(NodeError):
    """The node stopped working because its store failed; what was acknowledged is safe."""

    status, title = 503, "The node stopped"
    retry_after = 30
