"""Views: objects as JSON for people and `curl`. Ids are text; what is shown is not what is hashed."""

from __future__ import annotations

from typing import Any

from understudy.objects import ids
from understudy.objects.ids import Id, StepId
from understudy.objects.step import Step, step_node


def node_view(node: Any) -> Any:
    """A decoded node as JSON values: ids as text, the bitmap of a large map in hexadecimal, its keys as text."""
    match node:
        case bytes():
            return str(Id(node)) if len(node) == 36 and node[:4] in (ids.RAW, ids.NODE) else node.hex()
        case [bytes(bitmap), list(elements)]:
            return [bitmap.hex(), [_element_view(element) for element in elements]]
        case dict():
            return {key: node_view(value) for key, value in node.items()}
        case list() | tuple():
            return [node_view(value) for value in node]
    return node


def step_view(id: StepId, step: Step) -> dict[str, Any]:
    """A step as the chain shows it: `{"id", "parent", "data"}`."""
    return {"id": str(id), **node_view(step_node(step))}


def _element_view(element: Any) -> Any:
    if isinstance(element, bytes):
        return node_view(element)
    return [[key.decode("utf-8", "replace"), node_view(value)] for key, value in element]
