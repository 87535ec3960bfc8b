"""The token of a store: made by the first start, found by the command line, shown by nobody else."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path
from typing import Any

import httpx

from tests.cli.conftest import GREETER, Shell
from understudy.web.first_token import authorization

ADA = '{"name": "Ada"}'
CORE = {"core": {"wit": GREETER}}


def post(node: dict[str, Any], path: str, token: str | None = None, **more: Any) -> httpx.Response:
    headers = authorization(token)
    return httpx.post(node["address"] + path, trust_env=False, timeout=60, headers=headers, **more)


def first_of(shell: Shell) -> str:
    return (shell.folder / ".understudy" / "token").read_text().strip()


def test_code_comes_in_with_the_token_alone_and_the_command_line_finds_it(project: Shell) -> None:
    node = project.serve()
    assert post(node, "/actors", json=CORE).status_code == 401
    assert post(node, "/actors", first_of(project), json=CORE).status_code == 201
    # What README shows needs none: asking and sending on loopback.
    answer = httpx.post(
        f"{node['address']}/actors/greeter/messages", headers={"Message-Type": "greet"}, content=ADA, trust_env=False
    )
    assert answer.status_code == 200
    project.write({"greeter/code/greeter.py": GREETER.replace("Hello", "Good day,")})
    assert "updated" in project.run("push")
    assert "Good day, Ada" in project.run("send", "greeter", ADA, "--type", "greet")
    project.end()
    before = first_of(project)
    project.serve()
    assert first_of(project) == before


def test_nobody_else_can_look_into_the_store(project: Shell) -> None:
    previous = os.umask(0o022)
    try:
        project.serve()
        project.run("send", "greeter", ADA, "--type", "greet")
        project.run("token", "new")
        assert open_to_others(project.folder / ".understudy") == []
        project.end(signal.SIGKILL)
        # One that was made before, or copied without its modes.
        for path in (project.folder / ".understudy").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        (project.folder / ".understudy").chmod(0o755)
        project.serve()
        assert stat.S_IMODE((project.folder / ".understudy").stat().st_mode) == 0o700
        inner = [path for path in open_to_others(project.folder / ".understudy") if "tokens" not in path.parts]
        assert inner == []
    finally:
        os.umask(previous)


def open_to_others(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]


def test_tokens_are_made_listed_and_revoked_while_the_node_runs(project: Shell) -> None:
    node = project.serve()
    made = project.json("token", "new", "--may", "ask,update", "--actor", "greeter", "--note", "for Bob")["token"]
    patch = {"patch": {"note": "hello"}}
    lane = {"Message-Lane": "update", "Authorization": f"Bearer {made}"}
    url = f"{node['address']}/actors/greeter/messages"
    assert httpx.post(url, json=patch, headers=lane, trust_env=False).status_code == 200
    assert post(node, "/actors/greeter/messages/greet", made, content=ADA).status_code == 403
    assert post(node, "/actors", made, json=CORE).status_code == 403
    (listed,) = project.json("token", "list")["tokens"]
    assert (listed["may"], listed["actors"], listed["note"]) == (["ask", "update"], ["greeter"], "for Bob")
    assert made not in project.run("token", "list")
    project.run("token", "revoke", listed["id"])
    assert httpx.post(url, json=patch, headers=lane, trust_env=False).status_code == 401
    assert project.json("token", "list") == {"tokens": []}
    assert "token list" in project.run("token", "revoke", listed["id"], code=1)


def test_the_command_line_shows_a_token_that_it_is_given(project: Shell) -> None:
    node = project.serve()
    made = project.json("token", "new", "--may", "ask")["token"]
    assert "may not send" in project.run("send", "greeter", ADA, "--type", "greet", code=1, UNDERSTUDY_TOKEN=made)
    said = project.run("send", "greeter", ADA, "--type", "greet", code=1, UNDERSTUDY_TOKEN="nonsense")
    assert "UNDERSTUDY_TOKEN" in said
    assert httpx.get(f"{node['address']}/actors", trust_env=False).status_code == 200


def test_a_token_of_the_environment_takes_the_place_of_the_first(project: Shell) -> None:
    text = "Sésam öffne dich"
    node = project.serve(UNDERSTUDY_TOKEN=text)
    assert not (project.folder / ".understudy" / "token").exists()
    assert post(node, "/actors", text, json=CORE).status_code == 201
    assert "Ada" in project.run("send", "greeter", ADA, "--type", "greet", UNDERSTUDY_TOKEN=text)
    # A later start without it makes the first one.
    project.end()
    node = project.serve()
    assert post(node, "/actors", first_of(project), json=CORE).status_code == 201


def test_a_project_can_close_its_node_to_those_without_a_token(project: Shell) -> None:
    toml = project.folder / "understudy.toml"
    toml.write_text("[node]\nopen = false\n" + toml.read_text())
    node = project.serve()
    assert httpx.get(f"{node['address']}/actors", trust_env=False).status_code == 401
    assert "Ada" in project.run("send", "greeter", ADA, "--type", "greet")


def test_a_store_in_memory_says_its_token_once(shell: Shell) -> None:
    node = shell.serve("--store", "memory:")
    assert post(node, "/actors", json=CORE).status_code == 401
    assert post(node, "/actors", node["token"], json=CORE).status_code == 201
    assert "folder" in shell.run("token", "new", "--store", "memory:", code=2)


def test_wrong_use_of_tokens_is_named(project: Shell) -> None:
    assert "no store" in project.run("token", "new", code=1)
    project.run("push")
    assert "ask, send, create, update" in project.run("token", "new", "--may", "everything", code=2)
    assert "all actors" in project.run("token", "new", "--may", "create", "--actor", "greeter", code=2)
    assert "actor" in project.run("token", "new", "--actor", "a/b", code=2)
    assert "header" in project.run("serve", "--listen", "127.0.0.1:0", code=1, UNDERSTUDY_TOKEN=" x")


def test_a_token_for_an_actor_that_is_not_there_is_made_with_a_warning(project: Shell) -> None:
    project.run("push")
    assert "there is no actor 'greter' here" in project.run("token", "new", "--actor", "greter")
    known = project.json("actors")["actors"][0]["id"]
    assert "careful" not in project.run("token", "new", "--actor", "greeter", "--actor", known)
