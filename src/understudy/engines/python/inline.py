"""Code in `/wit` itself: run once per version in one fresh namespace; its only public function is the wit."""

from __future__ import annotations

import textwrap
from functools import partial
from types import FunctionType, ModuleType
from typing import Any, Final

from understudy.actors.errors import WitError
from understudy.engines.python.modules import Code, Source
from understudy.engines.python.names import file_name
from understudy.objects.ids import Id
from understudy.wit.wit import Wit

NO_CODE: Final = Code({})
WIT_CODE: Final = "wit_code"  # the name that the code in the seeds has


def inline_code(text: str, id: Id, node: str, others: Code = NO_CODE) -> Code:
    """The text as the module above those of its core; white space around it does not count, line numbers stay."""
    lead = text[: len(text) - len(text.lstrip())]
    source = "\n" * lead.count("\n") + textwrap.dedent(text).strip()
    own = Source(node, file_name(id, node), source.encode(), is_package=bool(others.sources))
    return Code({**others.sources, "": own}, others.skipped)


def find_wit(module: ModuleType, node: str) -> Any:
    """The wit among what the code defines. Raises WitError("MissingFunction" or "AmbiguousWit")."""
    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    own = {name: value for name, value in public.items() if _home(value) == module.__name__}
    # The functions of a Wit are its handlers; it is the wit itself.
    found: dict[str, Any] = {name: value for name, value in public.items() if isinstance(value, Wit)}
    if not found:
        found = {name: value for name, value in own.items() if isinstance(value, FunctionType)}
    if not found:
        # A decorator may return a callable that is no function.
        found = {name: value for name, value in own.items() if callable(value) and not isinstance(value, type)}
    for name in (node, WIT_CODE):
        if name in found:
            return found[name]
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise WitError(
            "AmbiguousWit",
            f"the code in /{node} has several public functions ({', '.join(found)}): name the wit {node!r} or "
            f"{WIT_CODE!r}, or let the names of the others begin with an underscore",
        )
    raise WitError("MissingFunction", f"the code in /{node} defines no public function, so there is no wit to run")


def _home(value: Any) -> str | None:
    """The name of the module that defines a value."""
    while isinstance(value, partial):
        value = value.func
    return getattr(value, "__module__", None)
