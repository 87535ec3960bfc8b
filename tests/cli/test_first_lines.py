"""What a node says first: the address, and that it is one for a browser."""

from __future__ import annotations

import httpx

from tests.cli.conftest import Shell, environment
from tests.loaded_command import LOADED


def test_the_first_lines_of_a_node_lead_to_its_console(project: Shell) -> None:
    serve = ["serve", "--listen", "127.0.0.1:0"]
    with (project.folder / "serve.err").open("wb") as errors:
        node = LOADED.start(serve, project.folder, environment({}), errors)
    try:
        assert node.stdout is not None
        said = ""
        while "Listening on " not in said:
            assert node.poll() is None
            said = node.stdout.readline().decode()
        assert "in a browser" in node.stdout.readline().decode()
        found = httpx.get(said.split()[-1], headers={"Accept": "text/html"}, follow_redirects=True)
        assert found.url.path == "/console" and "<h1>Actors</h1>" in found.text
    finally:
        node.kill()
        node.communicate()
