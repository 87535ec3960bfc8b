"""A node under what machines and neighbours do: few descriptors, a disk that takes no more."""

from __future__ import annotations

import socket

import httpx

from tests.cli.conftest import Shell

ADA = '{"name": "Ada"}'
IDLE = 400


def test_idle_connections_take_nothing_from_the_store(project: Shell) -> None:
    # Both limits, or the node would raise its own: a shell sets them for the node alone.
    project.prefix = ["sh", "-c", 'ulimit -n 256; exec "$0" "$@"']
    node = project.serve()
    place = ("127.0.0.1", int(node["address"].rpartition(":")[2]))
    idle = [socket.create_connection(place, 60) for _ in range(IDLE)]
    try:
        with httpx.Client(base_url=node["address"], trust_env=False, timeout=60) as client:
            for number in range(1, 31):
                answer = client.post("/actors/greeter/messages/greet", content=ADA.encode())
                assert answer.status_code == 200, (number, answer.text)
            assert client.get("/healthz").json()["status"] == "ok"
    finally:
        for each in idle:
            each.close()
    assert "MATCH" in project.run("verify", "greeter")


def test_a_node_whose_store_fails_ends_with_a_code_and_starts_again(project: Shell) -> None:
    project.prefix = ["sh", "-c", 'ulimit -f 600; exec "$0" "$@"']
    node = project.serve()
    acknowledged = 0
    with httpx.Client(base_url=node["address"], trust_env=False, timeout=60) as client:
        # A file above the limit is what a full disk is to RocksDB: the write fails.
        while acknowledged < 1_000:
            try:
                answer = client.post("/actors/greeter/messages/fail", content=b"x" * 50_000)
            except httpx.TransportError:
                break
            if answer.status_code == 503:
                break
            acknowledged += 1
    process = project.nodes.pop()
    assert process.wait(60) == 3
    assert "store failed" in (project.folder / "serve.err").read_text()
    assert not (project.folder / ".understudy" / "node.json").exists()
    project.prefix = []
    project.serve()
    assert project.json("actors")["actors"][0]["height"] >= acknowledged
    assert "Ada" in project.run("send", "greeter", ADA, "--type", "greet")
