"""What all pages have in common is the same on each: no value of a view, and no name in a template, takes its place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import jinja2
import pytest
from jinja2 import nodes

from tests.web.console.stories import VIEWS, tell
from tests.web.served import Served
from understudy.version import VERSION
from understudy.web.console import rendering
from understudy.web.console.rendering import render

TEMPLATES: Final = sorted((Path(rendering.__file__).parent / "templates").glob("*.html"))
SHARED: Final = ("at", "asset", "version", "amounts", "node", "path", "grant")


def test_each_page_names_the_version_of_the_node_and_its_name() -> None:
    with Served() as served:
        tell(served)
        expected = f'<p>Understudy {VERSION} on <bdi class="mono">{served.node.name}</bdi>'
        for view in VIEWS:
            answer = served.client.get(view, headers={"Accept": "text/html"})
            # The page of an address that there is not has no footer: it says nothing of the node.
            assert expected in answer.text or view == "/nothing", view
            for address in re.findall(r'(?:href|src)="(/console/assets/[^"]+)"', answer.text):
                assert served.client.get(address).status_code == 200, (view, address)


@pytest.mark.parametrize("name", ["at", "asset", "version", "amounts"])
def test_a_value_with_the_name_of_what_all_templates_have_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=f"error.html is given {name}"):
        render("error.html", **{name: "06f3eccb"})


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_uses_such_a_name_for_something_else(template: Path) -> None:
    tree = jinja2.Environment().parse(template.read_text(encoding="utf-8"))
    given = {name.name for name in tree.find_all(nodes.Name) if name.ctx in ("store", "param")}
    imported = {node.target for node in tree.find_all(nodes.Import)}
    macros = {node.name for node in tree.find_all(nodes.Macro)}
    assert not (given | imported | macros) & set(SHARED)
