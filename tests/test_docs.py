"""The docs say what is there: links lead somewhere, examples run, every command and route has its entry."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference.md"
PAGES = sorted(page for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] if page.is_file())

_METHODS = "GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS"
_COMMAND = re.compile(r"understudy((?: [a-z][a-z0-9-]*)+)")
_ROUTE = re.compile(rf"((?:{_METHODS})(?:(?:, | or )(?:{_METHODS}))*) (/[^\s?\[]*)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_RUN = re.compile(r"^```python run\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def commands_in(page: str) -> set[str]:
    """The commands that the tables of a page have a row for: `understudy send ACTOR` is "send"."""
    return {match[1].strip() for span in _first_cells(page) if (match := _COMMAND.match(span))}


def routes_in(page: str) -> set[str]:
    """The routes that the tables of a page have a row for, such as "GET /actors/{}"."""
    matches = [match for span in _first_cells(page) if (match := _ROUTE.match(span))]
    return {f"{method} {_pattern(match[2])}" for match in matches for method in re.findall(_METHODS, match[1])}


def real_commands() -> set[str]:
    """What `understudy --help` and the help of its groups list, hidden commands left out."""
    module = _module("understudy.cli.main")
    return set(_commands(typer.main.get_command(module.app))) if module else set()


def real_routes() -> set[str]:
    """Method and path of everything that the web application answers; HEAD comes with GET."""
    return set(_routes([each.route() for each in real_operations()]))


def real_operations() -> list[Any]:
    """Everything that the web application declares."""
    module = _module("understudy.web.app")
    return list(module.operations(with_lead=True)) if module else []


def row_of(page: str, route: str) -> str:
    """The row that a table of a page has for a route; empty without one."""
    return next((line for line in page.splitlines() if route in routes_in(line)), "")


def broken_links(page: Path, text: str) -> list[str]:
    """The links of a page that lead to no file; links to other sites are not followed."""
    targets = _LINK.findall(_CODE.sub("", text))
    local = [target for target in targets if not re.match(r"[a-z][a-z0-9+.-]*:|#", target)]
    return [target for target in local if not (page.parent / target.split("#")[0]).exists()]


def _first_cells(page: str) -> Iterator[str]:
    """The code spans in the first cells of table rows; a `|` inside a span is written as backslash and bar."""
    for line in page.splitlines():
        if line.startswith("|"):
            yield from re.findall(r"`([^`]+)`", re.split(r"(?<!\\)\|", line)[1])


def _pattern(path: str) -> str:
    """The path with its parameters made nameless: the docs may call them what reads best."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def _names(text: str, name: str) -> bool:
    """True if a code span of the text has this word."""
    spans = [span for line in text.splitlines() for span in re.findall(r"`[^`]+`", line)]
    return any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", span) for span in spans)


def _module(name: str) -> Any:
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


def _commands(command: Any, above: str = "") -> Iterator[str]:
    for name, inner in getattr(command, "commands", {}).items():
        path = f"{above} {name}".strip()
        if getattr(inner, "commands", None):
            yield from _commands(inner, path)
        elif not inner.hidden:
            yield path


def _routes(routes: Iterable[Any], above: str = "") -> Iterator[str]:
    for route in routes:
        path = above + route.path
        if getattr(route, "routes", None):
            yield from _routes(route.routes, path)
        else:
            yield from (f"{method} {_pattern(path)}" for method in (route.methods or {"GET"}) - {"HEAD"})


def _examples() -> Iterator[tuple[str, str]]:
    """Where each example stands, and its code, moved down so that a traceback names the line of the page."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _RUN.finditer(text):
            yield str(page), "\n" * text.count("\n", 0, match.start(1)) + match[1]


def _reference() -> str:
    return REFERENCE.read_text(encoding="utf-8") if REFERENCE.exists() else ""


def test_every_command_has_an_entry_in_the_reference_and_the_other_way_round() -> None:
    assert commands_in(_reference()) == real_commands()


def test_every_route_has_an_entry_in_the_reference_and_the_other_way_round() -> None:
    assert routes_in(_reference()) == real_routes()


def test_every_parameter_of_a_route_is_named_in_its_row_and_every_header_on_the_page() -> None:
    missing = []
    for operation in real_operations():
        route = f"{operation.method} {_pattern(operation.place()[0])}"
        for parameter in operation.parameters:
            where = row_of(_reference(), route) if parameter.place == "query" else _reference()
            # Arguments of any name have none of their own.
            if parameter.place != "path" and parameter.name != "arguments" and not _names(where, parameter.name):
                missing.append(f"{route}: {parameter.name}")
    assert not missing, "\n".join(missing)


def test_no_row_names_a_query_parameter_that_its_route_does_not_take() -> None:
    known: dict[str, set[str]] = {}
    for operation in real_operations():
        names = {parameter.name for parameter in operation.parameters if parameter.place == "query"}
        known.setdefault(f"{operation.method} {_pattern(operation.place()[0])}", set()).update(names)
    for line in _reference().splitlines():
        for route in routes_in(line):
            spoken = re.findall(r"[?&]([a-z][a-z-]*)", next(span for span in _first_cells(line) if _ROUTE.match(span)))
            assert set(spoken) <= known[route], route


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_the_examples_of_the_docs_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, (page, code) in enumerate(_examples()):
        (tmp_path / str(number)).mkdir()
        monkeypatch.chdir(tmp_path / str(number))
        exec(compile(code, page, "exec"), {"__name__": "__docs__"})


def test_commands_and_routes_are_read_out_of_tables_only() -> None:
    page = (
        "Call `understudy nothing` or `GET /nowhere`.\n"
        "| `understudy push [DIR]` | `understudy other` |\n"
        "| `understudy ref set NAME ID` | |\n"
        "| `GET or POST /actors/{a}/query/{name}?at=STEP`, `DELETE /x[/y]` | |\n"
    )
    assert commands_in(page) == {"push", "ref set"}
    assert routes_in(page) == {"GET /actors/{}/query/{}", "POST /actors/{}/query/{}", "DELETE /x"}


def test_a_link_to_a_missing_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").touch()
    text = "[a](there.md#part) [b](gone.md) [c](https://example.org/x) [d](#here) `[e](code.md)`"
    assert broken_links(tmp_path / "page.md", text) == ["gone.md"]


def test_commands_of_groups_are_found_and_hidden_ones_are_not() -> None:
    app, group = typer.Typer(), typer.Typer()
    app.command("push")(lambda: None)
    app.command("secret", hidden=True)(lambda: None)
    group.command("set")(lambda: None)
    group.command("get")(lambda: None)
    app.add_typer(group, name="ref")
    assert set(_commands(typer.main.get_command(app))) == {"push", "ref set", "ref get"}


def test_routes_of_mounts_are_found_with_each_of_their_methods() -> None:
    async def answer(request: Request) -> Response:
        return Response()

    inner = [Route("/", answer, methods=["GET", "POST"]), Route("/{id:path}", answer)]
    routes = [Route("/healthz", answer), Mount("/steps", routes=inner)]
    assert set(_routes(routes)) == {"GET /healthz", "GET /steps/", "POST /steps/", "GET /steps/{}"}
