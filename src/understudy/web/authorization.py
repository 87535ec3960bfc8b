"""Authorization: what a request may do.

The law: every operation names its scope, and the scope is checked before any of the request's body is read.
Operations that bring code always need a token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn

from msgspec import Struct
from starlette.requests import Request
from starlette.types import Scope as AsgiScope

from understudy.node.node import Node
from understudy.objects.ids import ActorId
from understudy.objects.mailbox import QUEUE, SIGNAL
from understudy.web.errors import HttpProblem

ASK: Final = "ask"  # read: actors, steps, files of cores, events, queries
SEND: Final = "send"  # messages in the lanes `queue` and `signal`
CREATE: Final = "create"  # a new actor: its code runs in the node's process, as the node's user
UPDATE: Final = "update"  # other code for an actor: the lane `update`
SCOPES: Final = (ASK, SEND, CREATE, UPDATE)
ANY: Final = "any"  # allowed with any scope: health, and the list of routes
PUBLIC: Final = "public"  # allowed to everybody: what a browser needs to sign in

Needs = str | Callable[[Request], str]
_KEY: Final = "understudy.authorization"
_AGAIN: Final = "understudy.authorization.again"


class Authorization(Struct, frozen=True):
    """What a request may do. `actors` are names or ids, None for all; `by_token`: it had a token.

    `holder` is the id of that token, None for the node's owner and for who has none. `by_session`: a browser showed the
    token at its sign-in, and a cookie now.
    """

    scopes: frozenset[str]
    actors: tuple[str, ...] | None = None
    by_token: bool = False
    holder: str | None = None
    by_session: bool = False

    def check_scope(self, scope: str) -> None:
        """Raise HttpProblem 401 or 403 unless this scope is allowed."""
        if scope in self.scopes or (scope == ANY and self.scopes) or scope == PUBLIC:
            return
        if not self.by_token:
            raise HttpProblem(401, _WANTED[scope], BEARER)
        raise HttpProblem(403, f"this token may not {scope}; it may {', '.join(sorted(self.scopes)) or 'do nothing'}")

    def check_actor(self, node: Node, actor: ActorId) -> None:
        """Raise HttpProblem 403 unless this actor is allowed."""
        if self.actors is None:
            return
        of_name = node.actor_of
        if not any(text == str(actor) or (_is_name(text) and of_name(text) == actor) for text in self.actors):
            self._refuse(self.actors)

    def check_absent(self, text: str) -> None:
        """Raise the same for an unknown name or id, so that a token for some actors does not learn which others exist."""
        if self.actors is not None and text not in self.actors:
            self._refuse(self.actors)

    @staticmethod
    def _refuse(actors: tuple[str, ...]) -> NoReturn:
        raise HttpProblem(403, f"this token is for {', '.join(actors)} only")

    def check_all_actors(self) -> None:
        """Raise HttpProblem 403 unless all actors are allowed."""
        if self.actors is not None:
            raise HttpProblem(403, f"this token is for {', '.join(self.actors)} only, and this is about all actors")


EVERYTHING: Final = Authorization(frozenset(SCOPES))
OPEN: Final = Authorization(frozenset({ASK, SEND}))  # without a token, on loopback
NOTHING: Final = Authorization(frozenset())
BEARER: Final = {"WWW-Authenticate": 'Bearer realm="understudy"'}
HOW: Final = (
    "send the header `Authorization: Bearer TOKEN`; the first token of a node is in the file `token` "
    "in its store's folder, unless UNDERSTUDY_TOKEN was set where it runs"
)
_WANTED: Final = {
    CREATE: f"an actor brings code that runs in this node, which needs a token: {HOW}",
    UPDATE: f"an update brings code that runs in this node, which needs a token: {HOW}",
    SEND: HOW,
    ASK: HOW,
    ANY: HOW,
}


def keep_authorization(scope: AsgiScope, authorization: Authorization, again: Callable[[], object]) -> None:
    """Keep what a request may do, for the rest of it; `again` finds out what its token allows now."""
    scope[_KEY] = authorization
    scope[_AGAIN] = again


def is_still_authorized(request: Request) -> bool:
    """False if the token of this request was revoked or changed. Reads the token's file."""
    return bool(request.scope[_AGAIN]() == request.scope[_KEY])


def authorization_of(request: Request) -> Authorization:
    """What this request may do."""
    authorization: Authorization = request.scope[_KEY]
    return authorization


def scope_of_lane(request: Request) -> str:
    """The scope that a message needs, by its lane. An unknown lane needs the stronger scope."""
    lanes = request.headers.getlist("message-lane")
    return SEND if all(lane in (QUEUE, SIGNAL) for lane in lanes) else UPDATE


def _is_name(text: str) -> bool:
    return bool(text) and "/" not in text
