"""Blocks by their ids over HTTP: whoever has a hash can fetch what it stands for, and check it."""

from __future__ import annotations

import asyncio
import io
from hashlib import sha256
from pathlib import Path

import libipld
import pytest

from tests.web.conftest import GREETER, TOKEN, Face, problem_of
from tests.web.served import Served
from understudy.judging.verification import Target, verify_targets
from understudy.node.node import Node
from understudy.objects import ids
from understudy.objects.ids import StepId
from understudy.store.car import read_car, store_blocks
from understudy.store.memory import MemoryBackend
from understudy.store.walk import walk
from understudy.web.routes import ipfs
from understudy.web.tokens import TokenFolder, Tokens

RAW = "application/vnd.ipld.raw"
CAR = "application/vnd.ipld.car"


def head(face: Face) -> str:
    actor = face.create()["id"]
    step: str = face.send(actor, {"name": "Ada"}, "greet").json()["head"]
    return step


def test_a_block_is_what_its_id_says_and_may_be_kept_for_ever(face: Face):
    step = head(face)
    answer = face.get(f"/ipfs/{step}?format=raw")
    assert ids.digest(ids.parse(step)).hex() == sha256(answer.content).hexdigest()
    assert answer.headers["content-type"] == RAW
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-disposition"] == f'attachment; filename="{step}.bin"'
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; sandbox")
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = face.get(f"/ipfs/{step}?format=raw", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("accept", "found"),
    [(RAW, RAW), (f"{CAR};version=1;order=dfs;dups=n", CAR), ("*/*", RAW), (f"{RAW};q=0.5, {CAR}", CAR)],
)
def test_the_accept_header_says_which_of_both_and_format_goes_before_it(face: Face, accept: str, found: str):
    step = head(face)
    assert face.get(f"/ipfs/{step}", headers={"Accept": accept}).headers["content-type"].startswith(found)
    other = "raw" if found == CAR else "car"
    answer = face.get(f"/ipfs/{step}?format={other}", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith(CAR if other == "car" else RAW)


def test_a_car_file_of_a_head_is_a_whole_history_that_a_stranger_can_judge(face: Face):
    step = head(face)
    answer = face.get(f"/ipfs/{step}?format=car")
    assert answer.headers["content-type"] == f"{CAR}; version=1; order=dfs; dups=n"
    assert answer.headers["accept-ranges"] == "none"
    roots, blocks = read_car(io.BytesIO(answer.content))
    assert [str(root) for root in roots] == [step]
    assert list(blocks) == list(walk(face.node.reader, ids.parse(step)))
    backend = MemoryBackend()
    store_blocks(backend, io.BytesIO(answer.content))
    head_id = StepId(ids.parse(step))
    (verdict,) = verify_targets(backend, [Target(face.node.reader.step(head_id).actor, head_id)], processes=1)
    assert (verdict.verdict, verdict.steps) == ("MATCH", 2)


@pytest.mark.parametrize(("scope", "count"), [("block", 1), ("entity", 1)])
def test_a_scope_of_one_block_is_one_block(face: Face, scope: str, count: int):
    step = head(face)
    _, blocks = read_car(io.BytesIO(face.get(f"/ipfs/{step}?format=car&dag-scope={scope}").content))
    assert len(list(blocks)) == count


def test_head_has_the_headers_and_no_body(face: Face):
    step = head(face)
    for kind in ("raw", "car"):
        asked, got = (face.ask(method, f"/ipfs/{step}?format={kind}") for method in ("HEAD", "GET"))
        assert (asked.status_code, asked.content) == (200, b"")
        for name in ("etag", "content-type", "cache-control", "content-disposition"):
            assert asked.headers[name] == got.headers[name]
    assert "content-length" not in face.ask("HEAD", f"/ipfs/{step}?format=car").headers
    assert face.ask("HEAD", f"/ipfs/{step}?format=raw").headers["content-length"] == str(
        len(face.get(f"/ipfs/{step}?format=raw").content)
    )


def test_another_spelling_of_an_id_names_the_same_block(face: Face):
    step = head(face)
    raw = bytes(ids.parse(step))
    for base in "zfkuF":
        other = libipld.encode_multibase(base, raw)
        answer = face.get(f"/ipfs/{other}?format=raw")
        assert answer.status_code == 200
        assert sha256(answer.content).digest() == raw[4:]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("x", 400),
        ("b" + "a" * 50_000, 400),
        ("z" + "1" * 50_000, 400),
        ("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG", 404),
        (str(ids.raw_id(b"nowhere")), 404),
        (f"{ids.raw_id(b'nowhere')}?format=car", 404),
        ("{step}?format=json", 406),
        ("{step}?format=car&dag-scope=some", 400),
        ("{step}?format=car&car-dups=y", 406),
        ("{step}?format=car&car-version=2", 406),
        ("{step}?formats=car", 400),
        ("{step}/data", 404),
        ("{step}?format=raw&format=car", 400),
    ],
)
def test_what_can_not_be_had_is_a_problem_document(face: Face, path: str, status: int):
    problem_of(face.get("/ipfs/" + path.replace("{step}", head(face))), status)


def test_who_wants_only_what_is_here_hears_that_it_is_not(face: Face):
    problem_of(face.get(f"/ipfs/{ids.raw_id(b'nowhere')}", headers={"Cache-Control": "only-if-cached"}), 412)
    problem_of(face.get(f"/ipfs/{head(face)}", headers={"Accept": f"{CAR}; dups=y"}), 406)


def test_the_probe_of_a_gateway_is_answered(face: Face):
    answer = face.get("/ipfs/bafkqaaa?format=raw")
    assert (answer.status_code, answer.content) == (200, b"")
    problem_of(face.get("/ipfs/bafkqaaa?format=car"), 406)


def test_a_token_for_one_actor_reaches_no_blocks_since_they_do_not_say_whose_they_are(
    node: tuple[asyncio.Runner, Node], tmp_path: Path
):
    kept = TokenFolder(tmp_path)
    face = Face(*node, tokens=Tokens(TOKEN, kept))
    step = head(face)
    for actors, status in ((["ada"], 403), (None, 200)):
        token = kept.make(scopes=["ask"], actors=actors, note=None, now=0)
        assert face.as_somebody(token).get(f"/ipfs/{step}").status_code == status
    problem_of(face.as_somebody("no such token").get(f"/ipfs/{step}"), 401)


def test_only_so_many_car_files_are_given_at_once_and_a_reader_that_leaves_makes_room(
    face: Face, monkeypatch: pytest.MonkeyPatch
):
    step = head(face)
    found = ipfs._Found(ids.parse(step), face.node.reader.block(ids.parse(step)))
    streams = [ipfs._Stream(face.node.reader, found, "all") for _ in range(ipfs.MAX_CARS)]
    assert problem_of(face.get(f"/ipfs/{step}?format=car"), 503)
    next(streams[0])
    streams.clear()
    assert face.get(f"/ipfs/{step}?format=car").status_code == 200


def test_a_car_file_of_too_many_blocks_breaks_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ipfs, "MAX_CAR_BLOCKS", 2)
    with Served() as served:
        actor = served.create({"wit": GREETER, "more/a": "a", "more/b": "b"}, "ada")
        with pytest.raises(Exception, match=r"peer closed|incomplete"):
            served.client.get(f"/ipfs/{actor['head']}?format=car")


def test_a_block_of_the_largest_size_fits(face: Face):
    face.create({"wit": GREETER, "data": "x" * (1024 * 1024)})
    data = ids.raw_id(b"x" * (1024 * 1024))
    assert face.get(f"/ipfs/{data}?format=raw").content == b"x" * (1024 * 1024)
