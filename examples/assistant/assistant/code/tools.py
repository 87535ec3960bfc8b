"""What the model may use: each tool is a function of ours, and asking another actor is a query."""

from __future__ import annotations

from typing import Any

from understudy import BadTimer, CallFailed, Context

MAX_FACTS = 100  # that are remembered: they are told to the model each time


def use(name: str, arguments: dict[str, Any], facts: list[str], ctx: Context) -> Any:
    """What a tool gives. What goes wrong is told to the model, which may try something else."""
    try:
        if name == "calendar_on":
            return ctx.query("calendar", "on", day=arguments["day"]).json()
        if name == "remember":
            return _remember(arguments["fact"], facts)
        if name == "remind":
            ctx.after(arguments["after"], "remind", arguments["text"])
            return "you will be reminded"
    except KeyError as error:
        return {"error": f"the argument {error} is missing"}
    except (BadTimer, CallFailed) as error:
        return {"error": str(error)}
    return {"error": f"there is no tool {name}"}


def _remember(fact: str, facts: list[str]) -> str:
    if len(facts) == MAX_FACTS:
        return f"no room: {MAX_FACTS} facts are remembered already"
    facts.append(fact)
    return "remembered"


def _tool(name: str, description: str, **parameters: str) -> dict[str, Any]:
    """A tool as the model is told of it."""
    properties = {name: {"type": "string", "description": about} for name, about in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


TOOLS = [
    _tool("calendar_on", "What is in the calendar on a day.", day="The day, like 2026-11-21."),
    _tool(
        "remind",
        "Remind the user of something later.",
        text="Of what.",
        after='After which time, like "30 minutes" or "3 days".',
    ),
    _tool("remember", "Remember something for later conversations.", fact="What to remember."),
]
