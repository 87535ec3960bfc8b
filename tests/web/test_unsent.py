"""Large answers: sent in pieces between which others have their turn, and bounded together. Tests of web/unsent.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.web.served import Served
from tests.web.test_protocol import LARGE, connect, whole
from tests.web.test_serving import _until
from understudy.web.face import Limits
from understudy.web.unsent import NOTHING, PIECE_BYTES, Answer, unsent_of

SIZE = 20_000_000
ASK = b"GET /actors/large/query/large?size=%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % SIZE


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, 4 * PIECE_BYTES - 1])
def test_an_answer_of_any_size_is_sent_whole_and_others_have_their_turn_after_each_piece(size: int) -> None:
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    turns, sent, left = [0], [], []

    async def others() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.append((bytes(message["body"]), message.get("more_body", False), turns[0]))
            left.append(unsent_of(scope))

    async def run() -> None:
        other = asyncio.ensure_future(others())
        await Answer(data)(scope, None, send)  # type: ignore[arg-type]
        other.cancel()

    scope: dict[str, Any] = {"type": "http", "method": "GET"}
    asyncio.run(run())
    assert b"".join(piece for piece, _, _ in sent) == data
    assert [more for _, more, _ in sent] == [True] * (len(sent) - 1) + [False]
    assert all(len(piece) <= PIECE_BYTES for piece, _, _ in sent)
    assert len({turn for _, _, turn in sent}) == len(sent)
    assert left[-1] == NOTHING == unsent_of(scope)
    assert all(unsent.held == size for unsent in left[:-1])


def test_large_answers_have_a_bound_together_and_small_ones_are_never_refused() -> None:
    with Served(limits=Limits(answers_bytes=SIZE * 3 // 2)) as served:
        served.create({"wit": LARGE}, "large")
        with connect(served) as slow:
            slow.sendall(ASK)
            slow.recv(1)
            refused = served.client.get("/actors/large/query/large", params={"size": SIZE})
            assert (refused.status_code, refused.json()["code"]) == (503, "Busy")
            assert refused.headers["retry-after"] and "large answers" in refused.json()["detail"]
            assert served.client.get("/actors/large/query/large", params={"size": 1_000}).status_code == 200
            assert whole(slow) > SIZE
        for _ in range(3):
            assert len(served.client.get("/actors/large/query/large", params={"size": SIZE}).content) == SIZE + 2
        for _ in range(3):
            assert served.client.head("/actors/large/query/large", params={"size": SIZE}).status_code == 200


def test_who_goes_away_in_the_middle_of_a_large_answer_gives_its_bytes_back() -> None:
    with Served(limits=Limits(answers_bytes=SIZE * 3 // 2)) as served:
        served.create({"wit": LARGE}, "large")
        for _ in range(2):
            with connect(served) as gone:
                gone.sendall(ASK)
                gone.recv(1)
            _until(lambda: served.client.get("/actors/large/query/large", params={"size": SIZE}).status_code == 200)
