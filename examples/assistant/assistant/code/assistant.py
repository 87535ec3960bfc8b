"""A chat assistant: a model with tools, whose memory is the state of an actor.

Each answer is one step. What the model said stands in the step's journal, so the step can be replayed without the model; and
if the node ends in the middle, the step begins again when it is back.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any

import openai
from msgspec import Struct, field

from understudy import Blob, Context, Retry, Wit

from .tools import TOOLS, use

MAX_ROUNDS = 8  # of tools for one answer: a model that goes on for ever is stopped
MAX_KEPT = 200  # messages that the model is told of: models forget, too

PAGE = """<!doctype html>
<html lang="en">
<title>The assistant</title>
<link rel="stylesheet" href="../core/static/style.css">
<h1>The assistant</h1>
{messages}
<h2>What it was asked to remember</h2>
<ul>{facts}</ul>
</html>
"""


class State(Struct):
    """The conversation as the model is told of it, and what it is to remember."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)


class Settings(Struct):
    """`/settings.json`: where the model is, and which."""

    base_url: str
    model: str


wit = Wit()


@wit.message("say")
def say(text: str, state: State, ctx: Context) -> str:
    """Say something to the assistant; its answer."""
    state.messages.append({"role": "user", "content": text})
    complete = _model(ctx)
    for _ in range(MAX_ROUNDS):
        message = complete(messages=[_instructions(state), *state.messages], tools=TOOLS).choices[0].message
        state.messages.append(message.model_dump(exclude_none=True))
        if not message.tool_calls:
            del state.messages[:-MAX_KEPT]
            return message.content or ""
        for call in message.tool_calls:
            result = use(call.function.name, json.loads(call.function.arguments), state.facts, ctx)
            state.messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
    raise ValueError(f"the model wanted tools more than {MAX_ROUNDS} times for one answer")


@wit.message("remind")
def remind(text: str, state: State) -> None:
    """The time of a reminder has come: the clock says so, by a timer that a tool set."""
    state.messages.append({"role": "assistant", "content": f"A reminder: {text}"})


@wit.query
def conversation(state: State) -> list[str]:
    """What was said, one line each."""
    return [f"{said['role']}: {said['content']}" for said in state.messages if said.get("content")]


@wit.query
def facts(state: State) -> list[str]:
    """What it was asked to remember."""
    return state.facts


@wit.query
def page(state: State) -> Blob:
    """The conversation, as a web page."""
    said = [
        f'<p class="{message["role"]}">{html.escape(message["content"])}</p>'
        for message in state.messages
        if message["role"] != "tool" and message.get("content")
    ]
    facts = [f"<li>{html.escape(fact)}</li>" for fact in state.facts]
    return Blob.html(PAGE.format(messages="\n".join(said), facts="".join(facts)))


def _model(ctx: Context) -> Callable[..., Any]:
    """A call of the model. When it can't be reached, the whole step is tried again later."""
    settings = ctx.core.json("settings.json", Settings)
    # The node tries again, and knows how; the client need not.
    client = openai.OpenAI(
        api_key=ctx.secret("MODEL_KEY"), base_url=settings.base_url, http_client=ctx.http, max_retries=0
    )

    def complete(**asked: Any) -> Any:
        try:
            return client.chat.completions.create(model=settings.model, **asked)
        except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError) as error:
            raise Retry(f"the model does not answer: {error}") from error

    return complete


def _instructions(state: State) -> dict[str, str]:
    known = "".join(f"\n- {fact}" for fact in state.facts)
    return {
        "role": "system",
        "content": f"You are a helpful assistant. What you were asked to remember:{known or ' nothing'}",
    }
