"""The golden vectors, read with our code and with the libraries of the IPLD project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.vectors import make
from tests.vectors.sample import Place
from understudy.actors.exchange import read_reply, read_request, reply_bytes, request_bytes
from understudy.objects import ids
from understudy.objects.blob import blob_blocks, read_blob_node
from understudy.objects.codec import Block, decode, encode
from understudy.objects.errors import NotCanonical, WrongKind
from understudy.objects.kinds import read_any
from understudy.objects.tree import is_tree_node
from understudy.store import hamt
from understudy.store.maps import build_tree, check_map, patch_tree

VECTORS = Path(make.__file__).parent
JS = VECTORS.parent / "js"
BUILD = VECTORS.parents[1] / ".build" / "js"


def vectors(file: str) -> Any:
    return json.loads((VECTORS / file).read_text(encoding="utf-8"))


def named(file: str) -> Any:
    return pytest.mark.parametrize("vector", [pytest.param(each, id=each["name"]) for each in vectors(file)])


def place_of(vector: dict[str, Any]) -> Place:
    place = Place()
    for id, block in vector.get("inner", {}).items():
        place.blocks[ids.parse(id)] = Block(ids.parse(id), bytes.fromhex(block))
    return place


@pytest.mark.parametrize("file", list(make.FILES))
def test_the_vectors_are_what_our_code_makes(file):
    assert (VECTORS / file).read_text(encoding="utf-8") == make.text_of(file)


@named("objects.json")
def test_each_vector_is_its_node_and_has_its_id(vector):
    block, id = bytes.fromhex(vector["block"]), ids.parse(vector["id"])
    node = decode(block)
    assert make.described(node) == vector["node"]
    assert encode(node) == block
    assert ids.node_id(block) == id
    read_any(node)
    for inner, data in vector.get("inner", {}).items():
        assert ids.matches(ids.parse(inner), bytes.fromhex(data))
        read_any(decode(bytes.fromhex(data)))
    if is_tree_node(node) or "bigmailbox" in node:
        place = place_of(vector)
        place.blocks[id] = Block(id, block)
        check_map(place, id)


@pytest.mark.parametrize("vector", vectors("blobs.json"), ids=lambda vector: str(vector["size"]))
def test_each_blob_has_its_id_and_its_chunks(vector):
    data = bytes(place % 251 for place in range(vector["size"]))
    *chunks, last = blob_blocks(data)
    assert sha256(data).hexdigest() == vector["sha256"]
    assert str(last.id) == vector["id"]
    assert [str(chunk.id) for chunk in chunks] == vector.get("chunks", [])
    if chunks:
        assert last.data.hex() == vector["block"]
        assert read_blob_node(decode(last.data)).size == vector["size"]


@named("hamts.json")
def test_each_large_map_holds_its_entries_and_can_be_built_from_them(vector):
    place = place_of(vector)
    root = decode(bytes.fromhex(vector["root"]))["hamt"]
    entries = {key.encode(): ids.parse(id) for key, id in vector["entries"].items()}
    assert dict(hamt.items(place, root)) == entries
    assert hamt.build(Place(), entries.items()) == root
    hamt.check(place, root, len(entries))


@named("patches.json")
def test_each_patch_leads_from_one_tree_to_the_other(vector):
    place = place_of(vector)
    patch = {path: link and ids.parse(link["/"]) for path, link in vector["patch"].items()}
    build_tree(place, {})
    assert str(patch_tree(place, ids.parse(vector["before"]), patch)) == vector["after"]


@named("refused.json")
def test_each_block_that_must_be_refused_is(vector):
    with pytest.raises((NotCanonical, WrongKind)) as caught:
        read_any(decode(bytes.fromhex(vector["block"])))
    assert caught.type.__name__ == vector["error"]


def tool(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        pytest.fail(
            f"{name} is needed to read the vectors with npm's libraries: run `make setup`, or install Node.js 20"
        )
    return found


def run(*command: str | Path) -> str:
    done = subprocess.run(
        command, cwd=BUILD, env={**os.environ, "PATH": path_of_tools()}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def path_of_tools() -> str:
    """The PATH with node's directory first: npm itself is a script that looks for node there."""
    return os.pathsep.join([str(Path(tool("node")).parent), os.environ.get("PATH", "")])


def install() -> None:
    """Put the packages of the lock file below `.build`, unless they are there."""
    lock = (JS / "package-lock.json").read_bytes()
    stamp = BUILD / "installed"
    if stamp.exists() and stamp.read_bytes() == lock:
        return
    BUILD.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", "package-lock.json"):
        shutil.copy(JS / file, BUILD / file)
    run(tool("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    stamp.write_bytes(lock)


def test_the_libraries_of_the_ipld_project_see_the_same_in_every_vector():
    install()
    # Where the script lies decides where node looks for its packages.
    shutil.copy(JS / "check.js", BUILD / "check.js")
    counted = json.loads(run(tool("node"), BUILD / "check.js", VECTORS))
    assert counted == {
        "objects": len(vectors("objects.json")),
        "blobs": len(vectors("blobs.json")),
        "hamts": len(vectors("hamts.json")),
        "hamts by the same operations": 8,
        "large maps": 3,
        "patches": len(vectors("patches.json")),
        "refused": len(vectors("refused.json")),
        "histories": sum(vector["kind"] != "unreadable" for vector in vectors("histories/histories.json")),
    }


@named("exchanges.json")
def test_each_exchange_is_a_line_of_json_and_a_body(vector):
    data = bytes.fromhex(vector["bytes"])
    line, _, body = data.partition(b"\n")
    said = vector.get("request") or vector["reply"]
    assert body.hex() == said["body"]
    headers = sorted(said["headers"], key=lambda header: header[0]) if "request" in vector else said["headers"]
    assert json.loads(line) == {"v": 1, **{key: said[key] for key in said if key != "body"}, "headers": headers}
    if "request" in vector:
        assert sha256(data).hexdigest() == vector["digest"]
        assert request_bytes(read_request(data)) == data
    else:
        assert str(blob_blocks(data)[-1].id) == vector["id"]
        assert reply_bytes(read_reply(data)) == data


def test_the_lock_file_names_no_registry():
    assert "resolved" not in (JS / "package-lock.json").read_text(encoding="utf-8")
