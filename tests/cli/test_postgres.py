"""A node on PostgreSQL as its operator has it: killed, cut off, refused; and a password that nobody sees."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.cli.conftest import Shell, environment
from tests.loaded_command import LOADED
from understudy.testing.postgres_server import GUARDED, PASSWORD, PostgresServer

CODED = quote(PASSWORD, safe="")


@pytest.fixture
def url(postgres: PostgresServer, project: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store of a user with a password, in the environment of all commands; the URL as it may be shown."""
    name = f"cli_{sha256(str(project.folder).encode()).hexdigest()[:16]}"
    postgres.execute(
        f"DO $$ BEGIN CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}'; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    postgres.execute(f"CREATE SCHEMA {name} AUTHORIZATION {GUARDED}")
    monkeypatch.setenv("XDG_STATE_HOME", str(project.folder / "state"))
    yield postgres.url(schema=name, user=GUARDED)


def with_password(url: str) -> str:
    return url.replace("@", f":{CODED}@", 1)


def greet(address: str, number: int) -> str:
    """Send a message until it is answered, under one key; what the actor says."""
    for _ in range(200):
        try:
            answer = httpx.post(
                f"{address}/actors/greeter/messages",
                content=json.dumps({"name": f"n{number}"}),
                headers={"Message-Type": "greet", "Idempotency-Key": f"key-{number}"},
                timeout=60,
            )
        except httpx.TransportError:
            continue
        if answer.status_code == 200:
            return str(answer.json()["replies"][0]["content"])
    raise AssertionError("never answered")


def test_what_was_acknowledged_outlives_the_node_and_the_server(
    project: Shell, url: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tests.cli.conftest.environment", lambda more: {**environment(more), "UNDERSTUDY_STORE": with_password(url)}
    )
    said = [json.dumps(project.serve())]
    assert json.loads(said[0])["store"] == url
    assert greet(json.loads(said[0])["address"], 0) == "Hello n0, number 1"
    project.end(signal.SIGKILL)
    about = project.serve()
    address = about["address"]
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(greet, address, number) for number in range(1, 41)]
        answers[4].result()
        # All processes of the server at once, as when its machine fails.
        postgres.stop(signal.SIGKILL)
        postgres.start()
        numbers = {int(answer.result().rpartition(" ")[2]) for answer in answers}
    # Each was counted once, also those that were sent again.
    assert numbers == set(range(2, 42))
    assert greet(address, 41) == "Hello n41, number 42"
    said += [httpx.get(f"{address}/healthz").text, project.run("log", "greeter"), project.run("actors")]
    said += [project.run("verify", "--all"), project.run("fsck")]
    assert "1 of 1 match" in said[-2] and "all in order" in said[-1]
    project.run("export", "greeter", "-o", "greeter.car")
    assert "MATCH" in project.run("verify", "greeter.car")
    project.end()
    said.append((project.folder / "serve.err").read_text())
    files = [path for path in (project.folder / "state").rglob("*") if path.is_file()]
    told = "\n".join([*said, *(path.read_text(errors="replace") for path in files)])
    assert PASSWORD not in told and CODED not in told and url in told


def test_a_password_on_the_command_line_is_refused(project: Shell, url: str) -> None:
    said = project.run("actors", "--store", with_password(url), code=2)
    assert "UNDERSTUDY_STORE" in said and CODED not in said
    # Without one, libpq's own means are left.
    assert "no password supplied" in project.run("serve", "--store", url, code=1)
    project.run("push", "--store", url, PGPASSWORD=PASSWORD)
    assert "greeter" in project.run("actors", "--store", url, PGPASSWORD=PASSWORD)


def test_a_node_on_another_machine_is_told_who_has_the_store_and_takes_over_when_that_one_dies(
    project: Shell, url: str, tmp_path: Path
) -> None:
    first = project.serve("--store", url, PGPASSWORD=PASSWORD)
    elsewhere = {"XDG_STATE_HOME": str(tmp_path / "elsewhere"), "PGPASSWORD": PASSWORD}
    errors = project.folder / "second.err"
    serve = ["serve", "--listen", "127.0.0.1:0", "--store", url]
    with errors.open("w+b") as file:
        second = LOADED.start(serve, project.folder, environment(elsewhere), file)
    try:
        while b"\n" not in errors.read_bytes():
            assert second.poll() is None
        assert f"is in use by process {first['pid']} on ".encode() in errors.read_bytes()
        # It took nothing: the first one goes on.
        assert greet(first["address"], 1) == "Hello n1, number 1"
        looking = project.run("log", "greeter", "--store", url, PGPASSWORD=PASSWORD)
        assert "greet" in looking
        project.end(signal.SIGKILL)
        said = b""
        while b"Listening on " not in said:
            assert second.poll() is None
            said = second.stdout.readline()
        assert greet(said.split()[-1].decode(), 2) == "Hello n2, number 2"
    finally:
        second.kill()
        second.communicate()


def test_a_node_that_was_paused_while_another_one_took_its_place_ends_and_spoils_nothing(
    project: Shell, url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    first = project.serve("--store", url, PGPASSWORD=PASSWORD)
    assert greet(first["address"], 1) == "Hello n1, number 1"
    paused = project.nodes[-1]
    paused.send_signal(signal.SIGSTOP)
    # What the server does by itself once the machine of a client no longer answers.
    postgres.execute(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = 'understudy'"
    )
    elsewhere = str(tmp_path / "elsewhere")
    second = project.serve("--store", url, PGPASSWORD=PASSWORD, XDG_STATE_HOME=elsewhere)
    assert greet(second["address"], 2) == "Hello n2, number 2"
    paused.send_signal(signal.SIGCONT)
    with pytest.raises((httpx.HTTPStatusError, httpx.TransportError)):
        httpx.post(
            f"{first['address']}/actors/greeter/messages",
            content=json.dumps({"name": "late"}),
            headers={"Message-Type": "greet"},
            timeout=60,
        ).raise_for_status()
    assert paused.wait(60) == 3
    assert greet(second["address"], 3) == "Hello n3, number 3"
    said = project.run("verify", "--all", "--store", url, PGPASSWORD=PASSWORD, XDG_STATE_HOME=elsewhere)
    assert "1 of 1 match" in said


def test_a_store_moves_to_postgresql_and_back_and_its_actors_go_on(project: Shell, url: str) -> None:
    about = project.serve()
    assert greet(about["address"], 1) == "Hello n1, number 1"
    source = f"rocksdb:{project.folder / '.understudy'}"
    taken = project.run("store", "copy", source, url, code=1, PGPASSWORD=PASSWORD)
    assert "in use by another process" in taken
    project.end()
    said = project.run("store", "copy", source, url, PGPASSWORD=PASSWORD)
    assert "copied: " in said and "the same node now" in said
    moved = project.serve("--store", url, PGPASSWORD=PASSWORD)
    assert moved["node"] == about["node"]
    assert greet(moved["address"], 2) == "Hello n2, number 2"
    project.end()
    assert "holds a store already" in project.run("store", "copy", source, url, code=1, PGPASSWORD=PASSWORD)
    back = f"rocksdb:{project.folder / 'back'}"
    project.run("store", "copy", url, back, PGPASSWORD=PASSWORD)
    assert "1 of 1 match" in project.run("verify", "--all", "--store", back)
    assert "all in order" in project.run("fsck", "--store", back)
    assert "UNDERSTUDY" not in project.run("store", "copy", back, "memory:", code=2)
    assert CODED not in project.run("store", "copy", back, with_password(url), code=2)
    project.run("store", "copy", "rocksdb:none", back, code=1)
