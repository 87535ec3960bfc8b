"""What code gives for an id or a text and is none comes out the same when the step is made and when it is replayed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.node.troupe import Troupe
from understudy.judging.verification import verify_targets
from understudy.store.open import open_store

ASKED = {
    "store.block('bafyreib')": "TypeError",
    "store.block(None)": "TypeError",
    "store.node('x')": "TypeError",
    "store.node(5)": "TypeError",
    "store.step('x')": "TypeError",
    "store.kind('x')": "TypeError",
    "store.has(None)": "TypeError",
    "store.has('x')": "TypeError",
    "store.has(5)": "TypeError",
    "store.blocks([None])": "TypeError",
    "store.blocks(['x', b'x'])": "TypeError",
    "store.block(memoryview(bytes(36)))": "TypeError",
    "list(store.open_blob('x'))": "TypeError",
    "store.put_tree({'x': None})": "TypeError",
    "store.put_tree({'x': 'text'})": "TypeError",
    "ctx.reader.block('x')": "TypeError",
    "ctx.reader.blocks([7])": "TypeError",
    "store.block(b'')": "Missing",
    "store.block(b'short')": "Missing",
    "store.block(bytes(36))": "Missing",
    "store.block(bytes(1000))": "Missing",
    "store.put_tree({'x': b'the content, and not its id'})": "Missing",
    "store.node(b'short')": "Missing",
    "ctx.reader.block(b'short')": "Missing",
    "store.blocks([b'x'])": "gave list",
    "store.has(b'x')": "gave bool",
}
WIT = """
import json

def wit(store, ctx, core):
    found = {}
    for asked in %r:
        try:
            found[asked] = "gave " + type(eval(asked)).__name__
        except Exception as error:
            found[asked] = type(error).__name__
    core["found"] = json.dumps(found)
"""


@pytest.mark.parametrize("kind", ["memory", "rocksdb"])
def test_what_is_no_id_is_told_from_what_is_not_there_in_a_node_as_in_a_replay(kind: str, tmp_path: Path):
    troupe = Troupe(open_store(f"rocksdb:{tmp_path / 'store'}" if kind == "rocksdb" else "memory:"))
    actor = troupe.create({"wit": WIT % [*ASKED]})
    assert troupe.step(actor).outcome is None
    at = troupe.reader.find(troupe.step(actor).core, "found")
    assert at is not None
    assert msgspec.json.decode(troupe.reader.blob(at)) == ASKED
    verdict = verify_targets(troupe.backend, [troupe.target(actor)], processes=1)[0]
    assert verdict.ok, verdict


@pytest.mark.parametrize("asked", [asked for asked, found in ASKED.items() if not found.startswith("gave")])
def test_so_does_a_step_that_ends_with_it(asked: str):
    troupe = Troupe()
    actor = troupe.create({"wit": f"def wit(store, ctx):\n    {asked}\n"})
    outcome = troupe.step(actor).outcome
    assert outcome is not None
    assert outcome.code == ASKED[asked]
    verdict = verify_targets(troupe.backend, [troupe.target(actor)], processes=1)[0]
    assert verdict.ok, verdict


LONE = "\\ud800"  # half of a surrogate pair: text for Python, and for nothing that leaves it


@pytest.mark.parametrize(
    "done",
    [
        f"ctx.log('{LONE}')",
        f"ctx.log('a {LONE} b'); raise ValueError('{LONE}')",
        f"ctx.log('{LONE}'); ctx.send('out/a/b', b'1', type='t')",
        f"ctx.log('{LONE}'); core['data/x'] = 'y'",
    ],
)
def test_a_log_that_is_no_well_formed_text_is_the_same_in_a_replay(done: str):
    troupe = Troupe()
    actor = troupe.create({"wit": f"def wit(store, ctx, core):\n    {done}\n"})
    assert troupe.step(actor).log is not None
    verdict = verify_targets(troupe.backend, [troupe.target(actor)], processes=1)[0]
    assert verdict.ok, verdict


def test_a_file_whose_name_is_no_well_formed_text_is_the_world_too():
    troupe = Troupe()
    code = f"def wit(ctx):\n    try:\n        open('/tmp/{LONE}')\n    except Exception:\n        pass\n"
    actor = troupe.create({"wit": code})
    verdict = verify_targets(troupe.backend, [troupe.target(actor)], processes=1)[0]
    assert verdict.ok or (verdict.verdict, verdict.cause) == ("UNVERIFIABLE", "world")


OWN = """
import enum
from understudy import Draft, Outgoing

class Name(str):
    def __str__(self):
        return "another one"

class Kind(str, enum.Enum):
    TOLD = "told"

def wit(ctx, store):
    {}
"""


@pytest.mark.parametrize(
    "done",
    [
        "ctx.send('out/a/b', b'1', type=Name('told'))",
        "ctx.send('out/a/b', b'1', type=Kind.TOLD)",
        "ctx.send(Name('out/a/b'), b'1', type='told', lane=Name('signal'))",
        "ctx.send('out/a/b', b'1', type='told', headers={Name('a'): Name('b')})",
        "ctx.log(Name('line'))",
        "return Draft(send=[Outgoing(to=Name('out/a/b'), type=Kind.TOLD, content=store.put_blob(b'1'))])",
        "raise type(Name('Odd'), (Exception,), {})(Name('text'))",
    ],
)
def test_an_authors_own_kind_of_text_is_text_in_a_replay_too(done: str):
    troupe = Troupe()
    actor = troupe.create({"wit": OWN.format(done)})
    step = troupe.step(actor)
    assert step.sent or step.log is not None or step.outcome is not None
    verdict = verify_targets(troupe.backend, [troupe.target(actor)], processes=1)[0]
    assert verdict.ok, verdict
