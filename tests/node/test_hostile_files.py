"""Files of whoever wants to break the judge: a verdict for each, and never a traceback."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from random import Random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.node.hostile import History
from tests.node.test_older_copies import GOSSIP
from tests.node.troupe import Troupe
from understudy.judging.foreign import verify_car
from understudy.kernel.verdict import INTACT, MATCH, MISMATCH, UNVERIFIABLE, Verdict
from understudy.objects.codec import Block, decode
from understudy.objects.errors import ObjectError
from understudy.objects.ids import ActorId, Id, MessageId, raw_id
from understudy.objects.kinds import read_any
from understudy.objects.mailbox import Cursor
from understudy.objects.message import Message, message_block
from understudy.objects.step import Step, step_block
from understudy.store.car import write_car
from understudy.store.maps import build_tree, patch_tree
from understudy.store.port import Unit
from understudy.store.reader import Staging
from understudy.store.walk import walk

MUTANTS = 24  # histories in one file


@pytest.fixture(scope="module")
def honest() -> tuple[Troupe, ActorId, History]:
    """A history with all that one can have: lanes, large maps, messages to itself and to another, an update."""
    troupe = Troupe()
    core = {"wit": "/code:gossip:wit", "code/gossip.py": GOSSIP}
    other = troupe.create({**core, "nonce": "other"})
    actor = troupe.create({**core, **{f"data/{number}": "x" for number in range(70)}})
    for way in ([str(other), str(actor)], [], [str(actor)]):
        troupe.tell(actor, "tell", {"way": way, "lane": "signal" if way == [str(actor)] else "queue"})
    troupe.update(actor, {"data/new": "new"})
    for number in range(70):
        troupe.tell(actor, "hear", {}, sender=f"out/far/{number}")
    blocks = list(walk(troupe.reader, troupe.head(actor)))
    return troupe, actor, History(troupe.head(actor), {block.id: block.data for block in blocks})


def car(troupe: Troupe, actor: ActorId, roots: Sequence[bytes], blocks: Iterable[Block]) -> BytesIO:
    file = BytesIO()
    write_car(file, roots, [*walk(troupe.reader, troupe.head(actor)), *blocks])
    file.seek(0)
    return file


def is_readable(blocks: Iterable[Block]) -> bool:
    try:
        for block in blocks:
            read_any(decode(block.data))
    except ObjectError:
        return False
    return True


def check(verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        assert verdict.verdict in (MATCH, INTACT, MISMATCH, UNVERIFIABLE)
        assert verdict.ok or verdict.reason
        # A judge that was lost is one that broke.
        assert verdict.cause not in ("died", "timeout"), verdict
        assert "Traceback" not in str(verdict.reason)


@pytest.mark.parametrize("integrity_only", [True, False])
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_every_mutated_history_has_a_verdict_of_its_own(honest, integrity_only: bool, seed: int) -> None:
    troupe, actor, history = honest
    chance = Random(seed)
    roots: dict[Id, None] = {}
    blocks: dict[Id, Block] = {}
    while len(roots) < (MUTANTS if integrity_only else 4):
        head, new = history.mutated(chance)
        # Some changes change nothing.
        if head != troupe.head(actor) and is_readable(new):
            roots[head] = None
            blocks.update((block.id, block) for block in new)
    roots[troupe.head(actor)] = None
    verdicts = verify_car(car(troupe, actor, list(roots), blocks.values()), integrity_only=integrity_only)
    assert [verdict.head for verdict in verdicts] == [str(root) for root in roots]
    assert verdicts[-1].ok
    check(verdicts)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), bits=st.booleans())
def test_a_file_with_a_block_that_can_not_be_read_has_one_verdict(honest, seed: int, bits: bool) -> None:
    troupe, actor, history = honest
    chance = Random(seed)
    head, new = history.mutated(chance)
    data = bytearray(car(troupe, actor, [head], new).getvalue())
    if bits:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif is_readable(new):
        del data[chance.randrange(1, len(data)) :]
    [verdict] = verify_car(BytesIO(bytes(data)), integrity_only=True)
    check([verdict])
    assert verdict.verdict in (MISMATCH, UNVERIFIABLE) or bits


@pytest.mark.parametrize("height", [2**40, 2**62])
def test_a_head_that_claims_an_endless_history_costs_nothing(honest, height: int) -> None:
    troupe, actor, _ = honest
    step = msgspec.structs.replace(troupe.step(actor), height=height, parent=troupe.head(actor))
    block = step_block(step)
    [verdict] = verify_car(car(troupe, actor, [block.id], [block]), integrity_only=True)
    assert (verdict.verdict, verdict.height) == (MISMATCH, height)


@pytest.mark.parametrize("size", [1_500_000, 2_500_000])
def test_a_block_above_the_bounds_is_a_mismatch(honest, size: int) -> None:
    troupe, actor, _ = honest
    data = bytes(size)
    file = car(troupe, actor, [troupe.head(actor)], [Block(raw_id(data), data)])
    [verdict] = verify_car(file, integrity_only=True)
    assert verdict.verdict == MISMATCH


@pytest.mark.parametrize("path", ["wit", "runtime", "policy", "limits", "nonce", "timers/x", "wit_query", "wit_update"])
@pytest.mark.parametrize("runtime", ["python", "wasm"])
def test_a_core_of_nonsense_has_a_verdict(path: str, runtime: str) -> None:
    troupe = Troupe()
    files: dict[str, bytes] = {"wit": b"def wit(ctx): pass\n", "runtime": runtime.encode()}
    actors = []
    for junk in (b"\xff\xfe", b"null", b'{"update": 5, "fuel": "x"}', b"[" * 2000, b""):
        staging = Staging(troupe.reader)
        ids = {name: Id(staging.put_blob(data)) for name, data in (files | {path: junk}).items()}
        core = patch_tree(staging, build_tree(staging, {}), ids)
        message = Message(
            to=str(core), sender="out/x/y", seq=1, type="genesis", content=core, lane="queue", previous=None, after=None
        )
        block = message_block(message)
        inbox = {"out/x/y": Cursor(1, MessageId(block.id))}
        step = Step(
            parent=None, actor=ActorId(core), height=0, time=1, seed=1, engine=f"{runtime}/1", core=core,
            inbox=inbox, outbox={}, consumed=(MessageId(block.id),), sent=(),
        )  # fmt: skip
        steps = [step_block(step), step_block(msgspec.structs.replace(step, engine="kernel/1"))]
        troupe.backend.commit([Unit(blocks=[*staging.new.values(), block, *steps])])
        actors += [step.id for step in steps]
    file = BytesIO()
    write_car(file, actors, [block for head in actors for block in walk(troupe.reader, head)])
    for integrity_only in (True, False):
        file.seek(0)
        check(verify_car(file, integrity_only=integrity_only))
