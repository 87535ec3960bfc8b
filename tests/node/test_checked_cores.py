"""A core that came in is read as a whole once, and one that nobody checked is checked at its birth."""

from __future__ import annotations

import pytest

from tests.node.living import Living
from understudy.kernel import core as kernel_core
from understudy.node.checked_cores import MAX_CORES, CheckedCores
from understudy.node.errors import Rejected
from understudy.objects.ids import ActorId, Id, TreeId, node_id
from understudy.objects.tree import MAX_NESTED
from understudy.store.maps import patch_tree
from understudy.store.nesting import check_nesting
from understudy.store.reader import Reader, Staging

PARENT = """
from understudy import Context, Wit

wit = Wit()

@wit.message("bear")
def bear(files: dict[str, str], ctx: Context) -> None:
    ctx.reply(str(ctx.spawn(files)))
"""


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The cores that are read as a whole to find out how deep they are nested."""
    whole: list[bytes] = []

    def check(nodes: Reader, id: bytes, before: bytes | None = None) -> None:
        if before is None:
            whole.append(id)
        check_nesting(nodes, id, before)

    monkeypatch.setattr(kernel_core, "check_nesting", check)
    return whole


def test_a_core_from_outside_is_read_as_a_whole_once(read: list[bytes]) -> None:
    with Living() as living:
        actor = living.create(data__x="x")
        assert read.count(actor) == 1
        assert living.ask(actor, "ask", 1).outcome is None


def test_a_core_that_nobody_checked_is_read_at_its_birth(read: list[bytes]) -> None:
    with Living() as living:
        parent = living.create(wit=PARENT)
        child = living.tell(parent, "bear", {"wit": "def wit(core): pass", "data/x": "x"})
        living.come_to_rest()
        assert [str(Id(id)) for id in read].count(str(child)) == 1


def test_a_core_that_is_refused_is_not_taken_for_a_good_one(read: list[bytes]) -> None:
    with Living() as living:
        staging = Staging(living.node.reader)
        deep = {
            "/".join(["in"] * (MAX_NESTED + 1)): staging.put_blob(b"x"),
            "wit": staging.put_blob(b"def wit(core): pass"),
        }
        core = patch_tree(staging, staging.put_tree({}), deep)
        for _ in range(2):
            with pytest.raises(Rejected, match="nested more than"):
                living.run(living.node.create_from(list(staging.new.values()), core))
        assert read == [core, core]
        assert living.node.lookup.head(ActorId(core)) is None


def test_only_the_newest_cores_are_remembered() -> None:
    known = CheckedCores()
    cores = [TreeId(node_id(bytes([number % 256, number // 256]))) for number in range(MAX_CORES + 1)]
    for core in cores:
        known.add(core)
    assert cores[0] not in known and cores[1] in known and cores[-1] in known
