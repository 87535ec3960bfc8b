"""Clients that two generators make of our documents, in Python and in TypeScript: they are made whole, and they work."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.objects.test_vectors import tool
from tests.web.conftest import GREETER
from tests.web.served import Served
from tests.web.test_schemathesis import core_of

CLIENTS = Path(__file__).parents[1] / "clients"
SHOP = """
from typing import Literal

from msgspec import Struct
from understudy import Blob, Wit


class Item(Struct):
    name: str
    count: int = 1


class Entry(Struct):
    "Of the same name as a schema of the node."
    title: str


class Order(Struct):
    items: list[Item]
    note: str | None = None


wit = Wit()


@wit.message("order")
def order(order: Order) -> Item:
    return order.items[0]


@wit.message("raw")
def raw(data: bytes) -> bytes:
    return data


@wit.message("free form/ü")
def free(data: dict) -> str:
    return "x"


@wit.message("nothing")
def nothing() -> None:
    pass


@wit.query
def find(words: list[str] = [], limit: int = 3, kind: Literal["a", "b"] = "a") -> list[Item]:
    return [Item(word, limit) for word in words]


@wit.query
def by(item: Item) -> Item:
    return item


@wit.query
def entry(title: str, more: Item | None = None) -> Entry:
    return Entry(title)


@wit.query
def page() -> Blob:
    return Blob.html("hello")
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as served:
        served.create({"wit": SHOP}, "shop")
        served.create({"wit": GREETER}, "greeter")
        served.create(core_of("guestbook/guestbook"), "guestbook")
        served.create(core_of("ledger/bank"), "bank")
        yield served


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the Python clients are, as packages."""
    folder = tmp_path_factory.mktemp("clients")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


def python_client(served: Served, folder: Path, path: str, name: str) -> ModuleType:
    """The package that openapi-python-client makes of a document."""
    document = folder / f"{name}.json"
    document.write_text(served.client.get(path).text)
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(document), "--meta", "none"]
    # It calls ruff by its name.
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    options = ["--output-path", str(folder / name), "--fail-on-warning", "--config", str(_config(folder))]
    done = subprocess.run([*command, *options], capture_output=True, text=True, env=env, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return importlib.import_module(name)


def _config(folder: Path) -> Path:
    """A CAR file is bytes: that is all there is to tell the generator."""
    config = folder / "config.json"
    config.write_text(json.dumps({"content_type_overrides": {"application/vnd.ipld.car": "application/octet-stream"}}))
    return config


def call(made: ModuleType, function: str, /, *args: Any, **more: Any) -> Any:
    """What a function of a generated client answers."""
    return importlib.import_module(f"{made.__name__}.api.default.{function}").sync(*args, **more)


def test_a_python_client_of_a_node_works(served: Served, folder: Path) -> None:
    client = python_client(served, folder, "/openapi.json", "node_client")
    models, types = (importlib.import_module(f"node_client.{name}") for name in ("models", "types"))
    me = client.AuthenticatedClient(base_url=served.address, token=served.token)
    core = models.CreationCore.from_dict({"wit": SHOP})
    made = call(client, "create_actor", client=me, body=models.Creation(core=core, name="ada", nonce="py"))
    assert made.outcome == "ok"
    body = models.SendMessageOfTypeJsonBody.from_dict({"items": [{"name": "tea"}]})
    answer = call(client, "send_message_of_type", "ada", "order", client=me, body=body)
    assert answer.replies[0].content == {"name": "tea", "count": 1}
    raw = types.File(payload=b"\x00\xff")
    assert call(client, "send_message_of_type", "ada", "raw", client=me, body=raw).replies[0].content == {
        "base64": "AP8="
    }
    assert call(client, "show_actor", "ada", client=me).height == 2
    assert call(client, "show_step_of_actor", "ada", "1", client=me).data["height"] == 1
    assert call(client, "query_actor", "ada", "page", client=me).payload.read() == b"hello"
    body = models.QueryActorWithJsonBody.from_dict({"item": {"name": "cup"}})
    asked = call(client, "query_actor_with", "ada", "by", client=me, body=body)
    assert json.loads(asked.payload.read()) == {"name": "cup", "count": 1}
    assert call(client, "describe_actor", "ada", client=me)["messages"]
    assert "ada" in [each.name for each in call(client, "list_actors", client=me).actors]
    assert call(client, "show_actor", "nobody", client=me).status == 404
    stranger = client.Client(base_url=served.address)
    assert call(client, "create_actor", client=stranger, body=models.Creation(core=core)).status == 401


def test_a_python_client_of_an_actor_has_its_types(served: Served, folder: Path) -> None:
    client = python_client(served, folder, "/actors/shop/openapi.json", "shop_client")
    models, types = (importlib.import_module(f"shop_client.{name}") for name in ("models", "types"))
    me = client.Client(base_url=served.address)
    order = models.WitOrder(items=[models.WitItem(name="tea", count=2)])
    assert call(client, "send_order", client=me, body=order).replies[0].content == {"name": "tea", "count": 2}
    raw = call(client, "send_raw", client=me, body=types.File(payload=b"\x00"))
    assert raw.replies[0].content == {"base64": "AA=="}
    assert call(client, "get_find", client=me, words=["a", "b"], limit=7)[1] == models.WitItem(name="b", count=7)
    assert call(client, "get_find", client=me, words=["a"]) == [models.WitItem(name="a", count=3)]
    cup = models.WitItem(name="cup")
    assert call(client, "ask_by", client=me, body=models.AskByBody(item=cup)).name == "cup"
    assert call(client, "get_entry", client=me, title="x").title == "x"
    assert call(client, "get_page", client=me).payload.read() == b"hello"


@pytest.mark.parametrize("actor", ["greeter", "guestbook", "bank"])
def test_every_example_makes_a_python_client(served: Served, folder: Path, actor: str) -> None:
    client = python_client(served, folder, f"/actors/{actor}/openapi.json", f"{actor}_client")
    me = client.Client(base_url=served.address)
    assert call(client, "wut", client=me)["messages"]


def compiled_scripts(served: Served) -> Path:
    """The TypeScript programs, compiled with the types of the documents."""
    target = CLIENTS.parents[1] / ".build" / "clients"
    shutil.copytree(CLIENTS, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    run(target, tool("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    shop = served.client.get("/actors/shop").json()["id"]
    for name, path in (("node", "/openapi.json"), ("actor", "/actors/shop/openapi.json")):
        # The document of an actor names it by its id; a program that is written beforehand can't know that.
        (target / f"{name}.json").write_text(served.client.get(path).text.replace(shop, "SHOP"))
        run(
            target, tool("node"), "node_modules/openapi-typescript/bin/cli.js", f"{name}.json", "-o", f"{name}_types.ts"
        )
    run(target, tool("node"), "node_modules/typescript/bin/tsc", "-p", ".")
    return target


def run(folder: Path, *command: str, **env: str) -> str:
    """What a program prints; it must succeed."""
    path = f"{Path(tool('node')).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PATH": path, **env})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_typescript_clients_work_and_have_the_types_of_the_documents(served: Served) -> None:
    """One test, as the packages are installed once."""
    scripts, shop = compiled_scripts(served), served.client.get("/actors/shop").json()["id"]
    said = json.loads(run(scripts, tool("node"), "node.js", served.address, served.token, WIT=SHOP))
    assert said["reply"] == {"name": "tea", "count": 1}
    assert said["found"] == [{"name": "x", "count": 3}]
    assert "grace" in said["names"]
    assert (said["steps"], said["refused"]) == (2, 404)
    said = json.loads(run(scripts, tool("node"), "actor.js", served.address, shop))
    assert said["order"] == 200
    assert said["found"] == [{"name": "a", "count": 7}, {"name": "b", "count": 7}]
    assert said["asked"] == {"name": "cup", "count": 1}
    # What the document does not allow does not compile.
    script = scripts / "actor.ts"
    script.write_text(script.read_text().replace('name: "tea"', "nome: 5"))
    compiler = [tool("node"), "node_modules/typescript/bin/tsc", "--noEmit", "-p", "."]
    done = subprocess.run(compiler, cwd=scripts, capture_output=True, text=True)
    assert done.returncode != 0 and "nome" in done.stdout
