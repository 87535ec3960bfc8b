"""A node is killed while failed steps are retried and an actor that holds is mended: nothing is lost, nothing happens twice."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from tests.node.living import Living
from tests.node.test_crash import PATIENCE, Server
from understudy.judging.verification import Target
from understudy.objects.ids import ActorId
from understudy.store.fsck import fsck
from understudy.store.open import open_store

ROUNDS = 3
COUNT = 24
CODE = """
from understudy import Wit
wit = Wit()

@wit.message("note")
def note(number: int, state: dict) -> int:
    state.setdefault("noted", []).append(number)
    return RESULT
"""
BAD, GOOD = CODE.replace("RESULT", "1 // 0"), CODE.replace("RESULT", "number")


class Operator(threading.Thread):
    """Does all its orders, one after the other, each until it hears that it is done."""

    def __init__(self, server: Server, token: str, orders: list[tuple[str, dict[str, str], bytes]]) -> None:
        super().__init__(name="operator", daemon=True)
        self.server = server
        self.token = token
        self.orders = orders
        self.done: list[int] = []

    def run(self) -> None:
        for number, order in enumerate(self.orders):
            while (address := self.server.address()) is not None:
                status = self._do(address, number, *order)
                if status is not None:
                    self.done.append(status)
                    self.server.count()
                    break

    def _do(self, address: str, number: int, path: str, headers: dict[str, str], body: bytes) -> int | None:
        given = {**headers, "Authorization": f"Bearer {self.token}", "Idempotency-Key": f"order {number}"}
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
        try:
            connection.request("POST", path, body, given)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return response.status


def prepare(store: Path) -> tuple[ActorId, ActorId, list[tuple[str, dict[str, str], bytes]]]:
    """An actor whose steps failed and which is mended, one that holds and is not, and what is to be done with them."""
    with Living(open_store(f"rocksdb:{store}"), store_url=f"rocksdb:{store}") as living:
        failed = living.create(wit="/code:it:wit", **{"code/it.py": BAD})
        held = living.create(wit="/code:it:wit", policy='{"on_failure": "hold"}', **{"code/it.py": BAD})
        steps = [living.ask(failed, "note", number).step for number in range(COUNT)]
        assert living.update(failed, **{"code/it.py": GOOD}) is None
        for number in range(COUNT):
            living.send(held, "note", number)
        living.until(lambda: living.node.actor(held).status == "held")
    orders: list[tuple[str, dict[str, str], bytes]] = [(f"/steps/{step}/retry", {}, b"") for step in steps]
    patch = json.dumps({"patch": {"code/it.py": GOOD}}).encode()
    cure = (f"/actors/{held}/messages", {"Message-Lane": "update"}, patch)
    return failed, held, [*orders[: COUNT // 2], cure, *orders[COUNT // 2 :]]


def test_what_is_retried_and_what_is_held_survives_kills(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    store = tmp_path / "store"
    failed, held, orders = prepare(store)
    server = Server(store)
    server.start()
    operator = Operator(server, (store / "token").read_text().strip(), orders)
    operator.start()
    for _ in range(ROUNDS):
        server.wait_for(random.randrange(1, COUNT // ROUNDS))
        server.kill()
        server.start()
    operator.join(PATIENCE)
    server.finish()
    server.kill()
    assert operator.done == [200] * len(orders)
    with Living(open_store(f"rocksdb:{store}")) as living:
        living.until(lambda: not living.node.pending())
        assert living.state(failed)["noted"] == list(range(COUNT))
        assert living.state(held)["noted"] == list(range(COUNT))
        assert set(living.outcomes(held)) == {"ok"} and living.outcomes(failed).count("ok") == COUNT + 2
        targets = [Target(actor, living.node.actor(actor).head) for actor in (failed, held)]
        assert [verdict.verdict for verdict in living.run(living.node.verify(targets))] == ["MATCH", "MATCH"]
        assert fsck(living.backend).findings == []
