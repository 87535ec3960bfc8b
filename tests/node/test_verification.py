from __future__ import annotations

from tests.node.troupe import Troupe
from understudy.node.verification import verify_targets

COUNTER = """
from understudy import Wit

wit = Wit()

@wit.message("add")
def add(number: int, state: dict, ctx) -> None:
    state["sum"] = state.get("sum", 0) + number
    ctx.log(f"now {state['sum']}")
    ctx.reply(state["sum"], type="sum")
"""


def test_x():
    t = Troupe()
    a = t.create({"wit": "/code:counter:wit", "code/counter.py": COUNTER})
    for n in range(5):
        t.tell(a, "add", n)
    print(t.step(a))
    print(verify_targets(t.backend, [t.target(a)], progress=print))
