"""What makes a core valid: what did not change is not looked at, and that must never be seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from understudy.actors.errors import WitError
from understudy.kernel.core import check_core, check_next_core
from understudy.objects.ids import Id, TreeId, raw_id
from understudy.objects.tree import FLAT, MAX_NESTED
from understudy.store.memory import MemoryBackend
from understudy.store.reader import Staging
from understudy.store.verified import Grit

NAMES = ("wit", "runtime", "policy", "state", "data", "more")


def place() -> tuple[Staging, dict[str, Id]]:
    """A staging, and objects that an entry of a core may be, good and bad ones."""
    staging = Staging(Grit(MemoryBackend()))
    shallow = staging.put_tree({"x": staging.put_blob(b"x")})
    deep = shallow
    for _ in range(MAX_NESTED):
        deep = staging.put_tree({"below": deep})
    return staging, {
        "text": staging.put_blob(b"python"),
        "other text": staging.put_blob(b"wasm"),
        "no text": staging.put_blob(b"\xff"),
        "tree": shallow,
        "deep": deep,
        "nowhere": Id(b"\x01\x71" + raw_id(b"nowhere")[2:]),
    }


def refusal(check: object, *arguments: object) -> str | None:
    try:
        check(*arguments)  # type: ignore[operator]
    except WitError as error:
        return error.code
    return None


changes = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from(["text", "other text", "no text", "tree", "deep", "nowhere", None])
)


@given(first=changes, second=changes, is_large=st.booleans())
def test_a_core_after_a_valid_one_is_judged_as_if_nothing_was_known(
    first: dict[str, str | None], second: dict[str, str | None], is_large: bool
):
    staging, objects = place()
    rest = {f"entry{number}": objects["text"] for number in range(FLAT if is_large else 1)}
    start = {"wit": objects["text"], **rest}
    before = put(staging, start, objects, first)
    after = put(staging, dict(staging.tree(before)), objects, second)
    if refusal(check_core, staging, before) is not None:
        before = staging.put_tree(start)
    assert refusal(check_next_core, staging, before, after) == refusal(check_core, staging, after)


def test_a_wit_that_is_taken_away_while_another_name_comes_is_missed():
    staging, objects = place()
    text = objects["text"]
    before, after = staging.put_tree({"wit": text, "a": text}), staging.put_tree({"b": text, "a": text})
    assert refusal(check_next_core, staging, before, after) == "NoWit"


def put(staging: Staging, entries: dict[str, Id], objects: dict[str, Id], changes: dict[str, str | None]) -> TreeId:
    after = {**entries, **{name: objects[kind] for name, kind in changes.items() if kind is not None}}
    return staging.put_tree({name: id for name, id in after.items() if changes.get(name, "") is not None})


def test_what_is_no_tree_is_no_core_also_after_a_valid_one():
    staging, objects = place()
    before = staging.put_tree({"wit": objects["text"]})
    blob = TreeId(objects["text"])
    assert refusal(check_next_core, staging, before, blob) == refusal(check_core, staging, blob) == "InvalidCore"
