"""An operation: one method of one path, declared beside its handler.

The law: from this one declaration come the route with its guard, the check of what the request says, and the operation's
part of the OpenAPI document.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Final, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from understudy.web.authorization import CREATE, UPDATE, Needs, authorization_of
from understudy.web.negotiate import choose
from understudy.web.openapi import operation_object
from understudy.web.parameters import Parameter, check_query, read_parameters
from understudy.web.schemas import PROBLEM, Json, Named, named_in

Handler = Callable[[Request], Response | Awaitable[Response]]
_CONVERTER: Final = re.compile(r":\w+}")


@dataclass(frozen=True)
class Operation:
    """What a request may ask by this method of this path, and what it is answered. The decorator of its handler.

    `scope` is what a token must allow, or a function that says so of a request. `about_all` is an operation about all
    actors, which a token for named actors does not allow. `answers` are those where it goes well, `errors` the problems
    besides those that every operation may meet. `body` maps the media types of a body to schemas. `also` are schemas of
    answers whose media type says nothing of their shape. `is_page`: it is for people alone, and in no document for programs.
    """

    method: str
    path: str
    _: KW_ONLY
    name: str
    summary: str
    scope: Needs
    answers: Mapping[int, Json]
    about_all: bool = False
    parameters: Sequence[Parameter[Any]] = ()
    errors: Sequence[int] = ()
    body: Mapping[str, Json] | None = None
    needs_body: bool = True
    also: Sequence[Named] = ()
    is_page: bool = False
    handler: Handler | None = None

    def __call__(self, handler: Handler) -> Operation:
        """The operation with its handler."""
        return replace(self, handler=handler)

    def route(self) -> Route:
        """The route, which checks a request before the handler sees it."""
        return Route(self.path, self._endpoint(), methods=[self.method])

    def place(self) -> tuple[str, str]:
        """Path and method as a document names them."""
        return _CONVERTER.sub("}", self.path), self.method.lower()

    def as_json(self) -> Json:
        """As it stands in a document."""
        return operation_object(
            self.name,
            self.summary,
            self.answers,
            parameters=[each.as_json() for each in self.parameters],
            errors=self.errors,
            body=self.body,
            needs_token=self.scope in (CREATE, UPDATE),
            needs_body=self.needs_body,
        )

    def _endpoint(self) -> Handler:
        handler, offered = self.handler, _offered(self.answers)
        assert handler is not None, f"{self.name} has no handler"
        if inspect.iscoroutinefunction(handler):

            async def asynchronous(request: Request) -> Response:
                self._check(request, offered)
                return await cast(Callable[[Request], Awaitable[Response]], handler)(request)

            return asynchronous

        # Starlette runs this on a thread, as it would the handler itself.
        def synchronous(request: Request) -> Any:
            self._check(request, offered)
            return handler(request)

        return synchronous

    def _check(self, request: Request, offered: Sequence[str]) -> None:
        """Refuse what may not be asked, or can't be meant. Nothing of the body is read before."""
        authorization = authorization_of(request)
        authorization.check_scope(self.scope if isinstance(self.scope, str) else self.scope(request))
        if self.about_all:
            authorization.check_all_actors()
        if offered:
            choose(request, offered)
        check_query(request, self.parameters)
        read_parameters(request, self.parameters)


def routes_of(operations: Iterable[Operation]) -> list[Route]:
    """Their routes, in this order."""
    return [each.route() for each in operations]


def paths_of(operations: Iterable[Operation]) -> Json:
    """The paths of a document, without pages. Of two operations at one place, the first is the one that answers."""
    paths: Json = {}
    for each in operations:
        if each.is_page:
            continue
        path, method = each.place()
        paths.setdefault(path, {}).setdefault(method, each.as_json())
    return paths


def schemas_of(operations: Iterable[Operation]) -> Json:
    """Every schema that has a name, as a document defines it."""
    said = [[each.body, each.answers, each.also, PROBLEM] for each in operations]
    return {named.name: named.schema for named in named_in(said)}


def _offered(answers: Mapping[int, Json]) -> tuple[str, ...]:
    """The media type of every answer where it goes well; empty if the handler has to choose."""
    types = {each for status, said in answers.items() if status < 300 for each in said.get("content", ())}
    return tuple(types) if len(types) == 1 else ()
