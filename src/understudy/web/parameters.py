"""Parameters: what a request may say in its path, its query and its headers.

The law: a parameter is declared once. Its declaration says how it stands in the document of the routes, and how its
value is read and checked. A handler reads only what its operation declares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

from starlette.requests import Request

from understudy.node.errors import Ambiguous, BadRequest, NodeError, NotFound
from understudy.node.looking.lookup import MAX_PAGE
from understudy.objects import ids
from understudy.objects.errors import WrongKind
from understudy.objects.ids import ActorId, StepId
from understudy.objects.step import Step
from understudy.store.errors import Missing
from understudy.web.authorization import authorization_of
from understudy.web.body import header_text
from understudy.web.face import node_of
from understudy.web.schemas import ID, MAX_NUMBER, SOME_TEXT, TEXT, Json

DEFAULT_PAGE: Final = 100
_VALUES: Final = "understudy.values"  # where the scope of a request has them

Place = Literal["path", "query", "header"]
Value = TypeVar("Value")
Default = TypeVar("Default")


@dataclass(frozen=True, eq=False, kw_only=True)
class Parameter(Generic[Value]):
    """One thing that a request may say. `read` makes its value of the text, which is None where it is not there.

    Without `read`, the handler reads it: a list that may stand in several headers, or arguments of any name.
    """

    place: Place
    name: str
    description: str
    schema: Json
    read: Callable[[Request, str | None], Value] | None = None
    form: Json = field(default_factory=dict)  # how OpenAPI says that it is written, where that is unusual

    def of(self, request: Request) -> Value:
        """Its value. Only for a handler whose operation declares it."""
        value: Value = request.scope[_VALUES][self]
        return value

    def as_json(self) -> Json:
        """As it stands in a document."""
        return {
            "name": self.name,
            "in": self.place,
            "description": self.description,
            "required": self.place == "path",
            "schema": self.schema,
            **self.form,
        }

    def text_in(self, request: Request) -> str | None:
        """What the request says, None if it says nothing. Raises BadRequest for a header that stands there twice."""
        if self.place == "path":
            found: str = request.path_params[self.name]
            return found
        if self.place == "header":
            return header_text(request, self.name)
        return request.query_params.get(self.name) if request.scope["query_string"] else None


def read_parameters(request: Request, parameters: Iterable[Parameter[Any]]) -> None:
    """Read and check what a request says, for `Parameter.of`. Raises what their `read` raises."""
    request.scope[_VALUES] = {each: each.read(request, each.text_in(request)) for each in parameters if each.read}


def check_query(request: Request, parameters: Sequence[Parameter[Any]]) -> None:
    """Raise BadRequest for a query parameter that nobody declared (a misspelt one), or that stands there twice."""
    if not request.scope["query_string"]:
        return
    given = [name for name, _ in request.query_params.multi_items()]
    known = [each for each in parameters if each.place == "query"]
    names = [each.name for each in known if each.read is not None]
    is_open = any(each.read is None for each in known)
    for name in given:
        if name in names and given.count(name) > 1:
            raise BadRequest(f"the query parameter {name!r} is given {given.count(name)} times")
        if name not in names and not is_open:
            there = f"this takes {', '.join(names)}" if names else "this takes none"
            body = "; what a POST gives beside it is its body" if request.method == "POST" else ""
            raise BadRequest(f"unknown query parameter {name!r}; {there}{body}")


def text(place: Place, name: str, description: str, schema: Json = TEXT) -> Parameter[str | None]:
    """A text. Its schema tells clients more than is checked here: what reads it later refuses what it can't be."""
    return Parameter(place=place, name=name, description=description, schema=schema, read=lambda _, said: said)


def path_text(name: str, description: str, schema: Json = SOME_TEXT) -> Parameter[str]:
    """A text in the path, so one that is always there."""
    return Parameter(place="path", name=name, description=description, schema=schema, read=lambda _, said: said or "")


def listed(name: str, description: str) -> Parameter[None]:
    """A header that may stand there several times; the handler reads it."""
    return Parameter(place="header", name=name, description=description, schema=TEXT)


def number(
    place: Place, name: str, description: str, *, least: int = 0, most: int = MAX_NUMBER, default: Default
) -> Parameter[int | Default]:
    """A whole number within bounds; the default where there is none."""
    schema = {"type": "integer", "minimum": least, "maximum": most}
    if default is not None:
        schema["default"] = default

    def read(_: Request, said: str | None) -> int | Default:
        if said is None:
            return default
        found = parse_number(said, name)
        if not least <= found <= most:
            raise BadRequest(f"{name} is {found}; {least:,} to {most:,} are allowed")
        return found

    return Parameter(place=place, name=name, description=description, schema=schema, read=read)


def one_of(
    place: Place,
    name: str,
    description: str,
    choices: Sequence[str],
    *,
    default: str,
    error: type[NodeError] = BadRequest,
) -> Parameter[str]:
    """One of some words; the default where there is none. `error` is raised for another one."""

    def read(_: Request, said: str | None) -> str:
        if said is None:
            return default
        if said not in choices:
            raise error(f"{name} is {said[:40]!r}; there are {', '.join(choices)}")
        return said

    schema = {"enum": list(choices), "default": default}
    return Parameter(place=place, name=name, description=description, schema=schema, read=read)


def parse_number(said: str, name: str) -> int:
    """A whole number that is not negative. Raises BadRequest that names it."""
    if not (said.isascii() and said.isdigit() and len(said) < 20 and int(said) <= MAX_NUMBER):
        raise BadRequest(f"{name} is {said[:40]!r}; a whole number from 0 on is expected")
    return int(said)


def _read_actor(request: Request, said: str | None) -> ActorId:
    return _allowed_actor(request, said or "", node_of(request).resolve)


def _read_expected_actor(request: Request, said: str | None) -> ActorId:
    return _allowed_actor(request, said or "", node_of(request).resolve_expected)


def _allowed_actor(request: Request, text: str, resolve: Callable[[str], ActorId]) -> ActorId:
    authorization = authorization_of(request)
    try:
        actor = resolve(text)
    except (NotFound, Ambiguous):
        authorization.check_absent(text)
        raise
    authorization.check_actor(node_of(request), actor)
    return actor


def _read_step(request: Request, said: str | None) -> tuple[StepId, Step]:
    id = StepId(ids.parse(said or ""))
    try:
        step = node_of(request).step(id)
    except Missing as error:
        raise NotFound(f"there is no step {id} here; GET /actors/ACTOR/steps lists those of an actor") from error
    except WrongKind as error:
        raise NotFound(f"{id} is {node_of(request).kind(id)}, not a step") from error
    authorization_of(request).check_actor(node_of(request), step.actor)
    return id, step


_ABOUT_ACTOR: Final = "A name, an id, or the beginning of an id"
# The actor that the path names. Raises NotFound, Ambiguous, HttpProblem 403 if the token is not for it.
ACTOR: Final = Parameter(place="path", name="actor", description=_ABOUT_ACTOR, schema=SOME_TEXT, read=_read_actor)
# The same, also for one that is not born yet.
EXPECTED_ACTOR: Final = Parameter(
    place="path", name="actor", description=_ABOUT_ACTOR, schema=SOME_TEXT, read=_read_expected_actor
)
# The step that the path names. Raises BadId, NotFound, HttpProblem 403 if the token is not for its actor.
STEP: Final = Parameter(place="path", name="step", description="The id of a step", schema=ID, read=_read_step)
LIMIT: Final = number("query", "limit", "How many items", least=1, most=MAX_PAGE, default=DEFAULT_PAGE)
BEFORE: Final = number("query", "before", "Only steps below this height", default=None)
IF_NONE_MATCH: Final = listed("If-None-Match", "What the caller holds")
