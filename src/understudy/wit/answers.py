"""Answers: which handler an answer to a request goes to.

The law: a requested answer is never ignored. It has its handler, or its step fails and names the handler that is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from understudy.actors.errors import WitError
from understudy.objects.message import Message
from understudy.wit.requests import REPLY, Request, answered_by, is_failure

Handling = TypeVar("Handling")
Answering = Callable[..., Any] | str  # a handler of answers: the function that `@wit.answer` marks, or its name
AnswerNames = Mapping[Answering, str]
NO_ANSWERS: Final[AnswerNames] = {}


def names_of(answers: Mapping[str, Callable[..., Any]]) -> AnswerNames:
    """The names of the handlers of answers, by themselves and by the functions."""
    return {**{name: name for name in answers}, **{function: name for name, function in answers.items()}}


def name_in(names: AnswerNames, handler: Answering | None) -> str | None:
    """The name that is kept for a handler. Raises TypeError for what handles no answers."""
    if handler is None:
        return None
    name = names.get(handler)
    if name is None:
        shown = repr(handler) if isinstance(handler, str) else getattr(handler, "__qualname__", repr(handler))
        known = ", ".join(sorted(set(names.values()))) or "none"
        raise TypeError(f"{shown} handles no answers: write @wit.answer above it; so far there are: {known}")
    return name


def handler_of(
    request: Request, message: Message, answers: Mapping[str, Handling], messages: Mapping[str, Handling]
) -> Handling | None:
    """The handler of an answer. A failure of a request without `on_error` goes to the handler of `error` messages, if there
    is one.

    Raises WitError("NoHandler") if the code no longer has it.
    """
    name = request.on_error if is_failure(message) else request.on_answer
    if name is None:
        return messages.get(message.type)
    handler = answers.get(name)
    if handler is None:
        known = ", ".join(sorted(answers)) or "none"
        raise WitError(
            "NoHandler",
            f"this answers the request {answered_by(message)} ({request.type!r} to {request.to}), which is for {name!r}, and the code "
            f"has no @wit.answer of that name; there are: {known}. Push code that has it, then retry this step",
        )
    return handler


def is_late(message: Message) -> bool:
    """True for an answer that no request waits for: to refuse it would only send its sender an error."""
    return message.re is not None and message.type == REPLY


def describe_unheard(message: Message, request: Request | None) -> str:
    """A line for the log about an answer that no handler got."""
    if request is None:
        return f"an answer of {message.sender} to {message.re} came, and no request waits for it"
    return f"the request {answered_by(message)} ({request.type!r} to {request.to}) failed, and no on_error was named for it"
