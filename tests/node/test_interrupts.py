"""A KeyboardInterrupt that a wit brings about without a `raise` is a failure of the wit, and no Ctrl-C: the node lives on."""

from __future__ import annotations

from tests.node.living import Living

CODE = """
from understudy import FlowContext, Wit
wit = Wit()
def interrupt():
    (nothing for nothing in ()).throw(KeyboardInterrupt())
class Bad(Exception):
    def __str__(self): interrupt()
@wit.message("step")
def step(): interrupt()
@wit.message("later")
async def later(): interrupt()
@wit.message("text")
def text(): raise Bad
@wit.flow("flow")
async def flow(ctx: FlowContext):
    await ctx.sleep(0)
    interrupt()
@wit.message("well")
def well() -> int: return 1
@wit.query
def ask(): interrupt()
"""


def test_a_wit_that_interrupts_itself_fails_and_stops_nobody_else() -> None:
    with Living() as living:
        actor = living.create(**{"wit": "/code:m:wit", "code/m.py": CODE})
        for type in ("step", "later", "text"):
            outcome = living.ask(actor, type).outcome
            assert outcome is not None and outcome.kind == "failed", type
        living.ask(actor, "flow")
        try:
            living.run(living.node.query(actor, "ask"))
        except Exception as error:
            assert "KeyboardInterrupt" in str(error)
        else:
            raise AssertionError("it answered")
        assert living.tell(actor, "well") == 1
        assert living.node.health()["status"] == "ok"
