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
from understudy.node.looking.lookup import Lookup
from understudy.objects.ids import ActorId, Id, StepId
from understudy.objects.mailbox import QUEUE, UPDATE
from understudy.objects.message import GENESIS
from understudy.objects.patch import patch_block
from understudy.objects.step import Step
from understudy.store.fsck import fsck
from understudy.store.memory import MemoryBackend
from understudy.store.open import open_store
from understudy.store.reader import Staging
from understudy.store.verified import Grit
from understudy.testing.faults import MOMENTS, CrashingStore, Moment
from understudy.testing.model_actors import stage_files
from understudy.testing.simulator import Simulator

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


# On a node without threads, which dies at each of its writes.


class Bench:
    """An actor whose failures are recorded and one whose failures hold, and a client that does all again after a crash."""

    def __init__(self, at: int | None, moment: Moment) -> None:
        self.inner = MemoryBackend(entropy=lambda size: bytes(size))
        self.simulator = Simulator(self.inner)
        self.actors = [self._create(policy) for policy in ("{}", '{"on_failure": "hold"}')]
        self.store = CrashingStore(self.inner, at=at, moment=moment)
        self.simulator = Simulator(self.store)

    def _create(self, policy: str) -> ActorId:
        staging = Staging(self.simulator.reader)
        core = stage_files(staging, {"wit": "/code:it:wit", "code/it.py": FUSSY, "policy": policy})
        self._send(core, GENESIS, core, staging, QUEUE)
        return ActorId(core)

    def _send(self, to: Id, type: str, content: Id, staging: Staging, lane: str) -> None:
        if self.simulator.crashed:
            return
        key = f"{to} {type} {content}"
        self.simulator.send(str(to), type=type, content=content, blocks=list(staging.new.values()), lane=lane, key=key)
        self.simulator.settle()

    def work(self) -> None:
        """Send a message that fails and one that does not, mend the code, retry what failed."""
        for actor in self.actors:
            for number in (0, 1):
                staging = Staging(Grit(self.inner))
                self._send(actor, "note", staging.put_blob(str(number).encode()), staging, QUEUE)
        for actor in self.actors:
            staging = Staging(Grit(self.inner))
            patch = staging.put(patch_block({"code/it.py": staging.put_blob(GOOD.encode())}))
            self._send(actor, UPDATE, patch, staging, UPDATE)
        for step in [id for id, step in self.steps(self.actors[0]) if step.outcome is not None]:
            staging = Staging(Grit(self.inner))
            self._send(self.actors[0], "retry", staging.put_blob(str(step).encode()), staging, UPDATE)

    def steps(self, actor: ActorId) -> list[tuple[StepId, Step]]:
        return Lookup(self.inner, Grit(self.inner)).steps(actor).items

    def noted(self, actor: ActorId) -> list[int]:
        reader = Grit(self.inner)
        state = reader.find(self.steps(actor)[0][1].core, "state")
        return [] if state is None else list(json.loads(reader.blob(state))["noted"])


FUSSY = GOOD.replace("    return", "    1 // number\n    return")


def test_whatever_write_is_the_last_each_message_is_noted_once() -> None:
    count = Bench(None, Moment.BEFORE)
    count.work()
    assert count.store.units > 10
    for at in range(1, count.store.units + 1):
        for moment in MOMENTS:
            bench = Bench(at, moment)
            bench.work()
            assert bench.simulator.crashed
            bench.simulator.abandon()
            bench.simulator = Simulator(bench.inner)
            bench.simulator.settle()
            bench.work()
            recorded, held = bench.actors
            assert (bench.noted(recorded), bench.noted(held)) == ([1, 0], [0, 1]), (at, moment)
            codes = [step.outcome and step.outcome.code for _, step in bench.steps(recorded)]
            assert codes == [None, None, None, "ZeroDivisionError", None], (at, moment)
            assert {step.outcome for _, step in bench.steps(held)} == {None}, (at, moment)
