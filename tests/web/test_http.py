"""What HTTP itself promises: negotiation, conditional requests, byte ranges, preferences, bounds."""

from __future__ import annotations

import base64
import re
from email.message import Message
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from tests.web.conftest import GREETER, Face, problem_of
from understudy.web.face import Limits
from understudy.web.files import MAX_RANGES, Span, spans_asked_for
from understudy.web.negotiate import choose
from understudy.web.preference import read_preference

BIG = bytes(range(256)) * 10_000  # three chunks
LIMITS = Limits()


@pytest.fixture
def big(face: Face) -> str:
    """The path of a file of several chunks."""
    face.create({"wit": GREETER, "data/page.css": "p {}"}, name="ada")
    patch = {"patch": {"data/big.bin": {"base64": base64.b64encode(BIG).decode()}}}
    step = face.send("ada", patch, "update", Message_Lane="update").json()["step"]
    return f"/steps/{step}/core/data/big.bin"


def _request(method: str = "GET", **headers: str) -> Request:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": method, "path": "/", "query_string": b"", "headers": named})


def test_what_the_caller_cannot_take_is_refused_with_what_there_is(face: Face) -> None:
    face.create(name="ada")
    for path, offered in {
        "/actors": "application/json",
        "/actors/ada/chain": "application/json",
        "/actors/ada/events": "text/event-stream",
        "/actors/ada/core/wit": "application/octet-stream",
        "/actors/ada/core/": "application/json",
    }.items():
        assert problem_of(face.get(path, headers={"Accept": "image/png"}), 406)["available"] == [offered]


def test_a_message_whose_answer_nobody_takes_is_not_sent(face: Face) -> None:
    face.create(name="ada")
    problem_of(face.send("ada", {"name": "Bob"}, "greet", Accept="text/plain"), 406)
    assert face.get("/actors/ada").json()["height"] == 0


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", "a/b"),
        ("", None),
        ("a/*;q=0.1, c/d", "c/d"),
        ("A/B", "a/b"),
        ("*/*, a/b;q=0", "c/d"),
        ("c/d; charset=utf-8; q=0.9, a/b; q=0.8", "c/d"),
        ("text/html, */*;q=0.1", "a/b"),
        ("a/b;q=0, c/d;q=0", None),
        ("nonsense;;;,, c/d", "c/d"),
    ],
)
def test_the_media_type_that_the_caller_likes_best_is_chosen(accept: str, chosen: str | None) -> None:
    if chosen is None:
        with pytest.raises(Exception, match="Accept"):
            choose(_request(accept=accept), ["a/b", "c/d"])
    else:
        assert choose(_request(accept=accept), ["a/b", "c/d"]) == chosen


@pytest.mark.parametrize("path", ["/actors/ada", "/actors/ada/chain", "/actors/ada/steps", "/actors/ada/core/count"])
def test_what_is_at_a_head_is_asked_for_again_and_comes_again_only_after_a_step(face: Face, path: str) -> None:
    face.create({"wit": GREETER, "count": "0"}, name="ada")
    first = face.get(path)
    tag = {"If-None-Match": first.headers["etag"]}
    assert first.headers["cache-control"] == "no-cache"
    again = face.get(path, headers=tag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    face.send("ada", {"name": "Bob"}, "greet")
    assert face.get(path, headers=tag).status_code == 200


@pytest.mark.parametrize("path", ["/steps/{}", "/steps/{}/core/", "/steps/{}/core/wit"])
def test_what_an_id_names_is_kept_for_ever(face: Face, path: str) -> None:
    url = path.format(face.create()["head"])
    first = face.get(url)
    assert first.headers["cache-control"] == "max-age=31536000, immutable"
    tags = f'"other", W/{first.headers["etag"]}'
    assert face.get(url, headers={"If-None-Match": tags}).status_code == 304
    assert face.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


def test_the_tag_of_a_chain_is_its_head(face: Face) -> None:
    head = face.create(name="ada")["head"]
    assert face.get("/actors/ada/chain").headers["etag"] == f'"{head}"'


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-", 5, len(BIG)),
        ("bytes=-7", len(BIG) - 7, len(BIG)),
        ("bytes=1048570-1048580", 1048570, 1048581),
        ("bytes=2000000-99999999999", 2000000, len(BIG)),
        ("bytes=-99999999999", 0, len(BIG)),
        ("BYTES = 3-4", 3, 5),
    ],
)
def test_a_range_of_a_large_file_comes_alone(face: Face, big: str, asked: str, start: int, end: int) -> None:
    answer = face.get(big, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == BIG[start:end]
    assert answer.headers["content-length"] == str(end - start)
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(BIG)}"


def test_several_ranges_come_in_parts(face: Face, big: str) -> None:
    answer = face.get(big, headers={"Range": "bytes=0-9, 1048570-1048580,-5"})
    assert answer.status_code == 206
    assert len(answer.content) == int(answer.headers["content-length"])
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    # The parser makes line ends of any kind the same, so the bytes are looked at without it.
    parts = answer.content.split(b"--" + re.findall(rb"boundary=(\w+)", head)[0])
    bodies = [part.split(b"\r\n\r\n", 1)[1][:-2] for part in parts[1:-1]]
    assert bodies == [BIG[:10], BIG[1048570:1048581], BIG[-5:]]
    parsed: list[Message] = BytesParser().parsebytes(head + answer.content).get_payload()  # type: ignore[assignment]
    ranges = [part["Content-Range"].partition("/")[0] for part in parsed]
    assert ranges == ["bytes 0-9", "bytes 1048570-1048580", f"bytes {len(BIG) - 5}-{len(BIG) - 1}"]


@pytest.mark.parametrize(
    "asked", [f"bytes={len(BIG)}-", "bytes=-0", "bytes=0-9,5-,0-", "bytes=" + ",".join(["0-0"] * (MAX_RANGES + 1))]
)
def test_a_range_that_cannot_be_met_is_refused_with_the_size(face: Face, big: str, asked: str) -> None:
    answer = face.get(big, headers={"Range": asked})
    problem_of(answer, 416)
    assert answer.headers["content-range"] == f"bytes */{len(BIG)}"


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes=9-5", "bytes=a-b", "bytes=", "bytes=-", "0-5"])
def test_a_range_that_makes_no_sense_counts_as_not_said(face: Face, big: str, asked: str) -> None:
    answer = face.get(big, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, BIG)


def test_who_holds_part_of_another_file_gets_the_whole(face: Face, big: str) -> None:
    tag = face.get(big, headers={"Range": "bytes=0-0"}).headers["etag"]
    part, whole = (face.get(big, headers={"Range": "bytes=0-0", "If-Range": given}) for given in (tag, '"old"'))
    assert (part.status_code, whole.status_code) == (206, 200)


def test_an_empty_file_has_no_ranges(face: Face) -> None:
    head = face.create({"wit": GREETER, "data/empty": ""})["head"]
    problem_of(face.get(f"/steps/{head}/core/data/empty", headers={"Range": "bytes=0-"}), 416)


@given(st.integers(0, 50), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=3))
def test_spans_are_never_outside_of_the_file(size: int, pairs: list[tuple[int, int]]) -> None:
    try:
        spans = spans_asked_for(_request(range="bytes=" + ",".join(f"{a}-{b}" for a, b in pairs)), size, '"x"')
    except Exception as error:
        assert getattr(error, "status", None) == 416
    else:
        assert spans is None or all(isinstance(span, Span) and 0 <= span.start < span.end <= size for span in spans)


@pytest.mark.parametrize("path", ["/actors", "/actors/ada", "/actors/ada/chain", "/actors/ada/core/data/page.css"])
def test_head_says_what_get_says_without_the_body(face: Face, big: str, path: str) -> None:
    head, get = face.ask("HEAD", path), face.get(path)
    assert head.status_code == get.status_code == 200
    assert dict(head.headers) == dict(get.headers)


def test_head_of_a_large_file_reads_none_of_it_and_head_of_events_ends(face: Face, big: str) -> None:
    answer = face.ask("HEAD", big, headers={"Range": "bytes=0-3"})
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, str(len(BIG)), b"")
    assert face.ask("HEAD", "/events").headers["content-type"].startswith("text/event-stream")


def test_the_files_at_the_head_are_those_of_the_newest_step(face: Face, big: str) -> None:
    assert face.get("/actors/ada/core/data/big.bin").content == BIG
    answer = face.get("/actors/ada/core/data/page.css")
    assert (answer.text, answer.headers["content-type"]) == ("p {}", "text/css; charset=utf-8")


@pytest.mark.parametrize(
    ("lines", "seconds", "applied"),
    [
        ([], LIMITS.wait_seconds, None),
        (["respond-async"], 0, "respond-async"),
        (['RESPOND-ASYNC=""; foo=bar'], 0, "respond-async"),
        (["respond-async=yes"], LIMITS.wait_seconds, None),
        (["respond-async, wait=10"], 10, "respond-async, wait=10"),
        (["wait=10", "respond-async"], 10, "respond-async, wait=10"),
        (['wait = "7"; x=y, wait=9'], 7, "wait=7"),
        (["wait=soon"], LIMITS.wait_seconds, None),
        (["return=minimal, wait=99999999"], LIMITS.most_wait_seconds, "wait=99999999"),
        (["wait=²"], LIMITS.wait_seconds, None),
    ],
)
def test_preferences_are_read_as_their_rfc_says(lines: list[str], seconds: float, applied: str | None) -> None:
    preference = read_preference(lines, LIMITS.wait_seconds, LIMITS.most_wait_seconds)
    assert (preference.wait_seconds, preference.applied) == (seconds, applied)


def test_who_comes_when_all_places_are_taken_is_told_to_come_again(face: Face) -> None:
    full = Face(face.runner, face.node, limits=Limits(requests=0))
    answer = full.get("/healthz")
    problem_of(answer, 503)
    assert answer.headers["retry-after"] == "1"


def test_an_event_number_that_never_was_is_refused(face: Face) -> None:
    face.create(name="ada")
    assert "newest" in problem_of(face.get("/actors/ada/events", headers={"Last-Event-ID": "7"}), 400)["detail"]


def test_the_root_says_what_is_here(face: Face) -> None:
    here = face.get("/").json()
    assert (here["name"], here["node"]) == ("Understudy", face.node.name)
    for what in ("actors", "openapi", "health"):
        assert face.get(here[what]).status_code == 200
    problem_of(face.post("/"), 405)


@pytest.mark.parametrize("path", ["/actors/ada/query/nothing", "/actors/ada/core/nothing", "/actors/bob", "/steps/x"])
@pytest.mark.parametrize("tag", ["*", "{head}", 'W/"*"'])
def test_what_does_not_exist_is_not_unchanged(face: Face, path: str, tag: str) -> None:
    head = face.create({"wit": GREETER}, name="ada")["head"]
    answer = face.get(path, headers={"If-None-Match": tag.format(head=f'"{head}"')})
    assert answer.status_code in (400, 404)


def test_a_step_of_an_actor_is_found_by_its_height_and_its_id(face: Face) -> None:
    first = face.create({"wit": GREETER}, name="ada")["head"]
    other = face.create({"wit": GREETER}, name="bob", nonce="2")["head"]
    second = face.send("ada", {"name": "Bob"}, "greet").json()["step"]
    for text, step in (("0", first), ("1", second), (first, first), ("ada@1", second)):
        answer = face.get(f"/actors/ada/steps/{text}")
        assert (answer.json()["id"], answer.headers["cache-control"]) == (step, "no-cache")
        assert face.get(f"/actors/ada/steps/{text}", headers={"If-None-Match": f'"{step}"'}).status_code == 304
    for text, status in (("2", 404), (other, 404), ("9" * 5_000, 400), ("-1", 400), ("x", 400)):
        problem_of(face.get(f"/actors/ada/steps/{text}"), status)


@pytest.mark.parametrize("path", ["/actors", "/actors/ada/messages", "/actors/ada/query/wut"])
@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "GZIP", "x"])
def test_an_encoded_body_is_refused_and_not_taken_for_what_it_is_not(face: Face, path: str, coding: str) -> None:
    face.create({"wit": GREETER}, name="ada")
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    answer = face.post(path, content=b"{}", headers=headers)
    problem_of(answer, 415)
    assert answer.headers["accept-encoding"] == "identity"
    assert face.get("/actors/ada").json()["height"] == 0
    assert face.send("ada", {"name": "Bob"}, "greet", Content_Encoding="identity").status_code == 200


def test_a_message_for_another_head_than_the_newest_is_not_sent(face: Face) -> None:
    head = face.create({"wit": GREETER}, name="ada")["head"]
    for form in ('"{}"', '"x", "{}"', "*"):
        answer = face.send("ada", {"name": "Bob"}, "greet", If_Match=form.format(head))
        assert answer.status_code == 200
        head = answer.json()["step"]
    old = face.get("/actors/ada/steps/0").json()["id"]
    for tags in (f'"{old}"', f'W/"{head}"', head, ""):
        assert head in problem_of(face.send("ada", {"name": "Bob"}, "greet", If_Match=tags), 409)["detail"]
    assert face.get("/actors/ada").json()["head"] == head


@pytest.mark.parametrize("name", ["bafyrei", "bafkrei2", "bafyrei" + "a" * 52, "{id}", "{half}"])
def test_a_name_that_looks_like_an_id_is_refused(face: Face, name: str) -> None:
    id = face.create({"wit": GREETER})["id"]
    answer = face.post(
        "/actors", json={"core": {"wit": GREETER}, "nonce": "2", "name": name.format(id=id, half=id[:20])}
    )
    assert "looks like an id" in problem_of(answer, 422)["detail"]
    assert len(face.get("/actors").json()["actors"]) == 1


def test_bounds_are_what_they_say_to_the_byte(face: Face, small_face: Face) -> None:
    face.create({"wit": GREETER}, name="ada")
    for path in ("/actors/ada/messages/echo", "/actors/ada/query/wut"):
        assert small_face.post(path, content=b"x" * 1000).status_code != 413
        problem_of(small_face.post(path, content=b"x" * 1001), 413)
    for name, status in (("x" * 255, 201), ("x" * 256, 422), ("é" * 127 + "x", 201), ("é" * 128, 422)):
        body = {"core": {"wit": GREETER}, "nonce": name, "name": name}
        assert face.post("/actors", json=body).status_code == status
    for key, status in (("k" * 255, 200), ("k" * 256, 422)):
        assert face.send("ada", b"x", "echo", Idempotency_Key=key).status_code == status
    for limit, status in (("1", 200), ("1000", 200), ("1001", 400), ("0", 400)):
        assert face.get(f"/actors?limit={limit}").status_code == status
    for before, status in ((2**63 - 1, 200), (2**63, 400)):
        assert face.get(f"/actors/ada/steps?before={before}").status_code == status
