"""The Python engine under the conformance suite, once for each form in which a wit can be written."""

from __future__ import annotations

from collections.abc import Mapping

from understudy.engines.python.engine import PythonEngine
from understudy.testing.engine_world_suite import OTHER, FlowSuite, RetrySuite, WorldSuite

LOW = {
    "keep": "kept = core.get('kept') or b''\n    core['kept'] = kept + b''.join(m.bytes() for m in messages)",
    "echo": "for m in messages: outbox.send(m.sender, type='echo', content=m.bytes())",
    "log": "for m in messages: ctx.log(m.text())",
    "flood": "for _ in range(4096): ctx.log('x' * 1024)",
    "world": "core['kept'] = f'{ctx.time_us} {ctx.random.random()}'",
    "fail": (
        "core['kept'] = 'lost'; outbox.send('out/a/b', type='t', content=1); ctx.log('before'); raise ValueError('no')"
    ),
    "ask": "for m in messages: core['kept'] = GET(m.text())",
    "again": "core['kept'] = 'lost'; outbox.send('out/a/b', type='t', content=1); ctx.log('before'); raise Retry('later')",
    "broken": ")",
}
COMFORTABLE = {
    "keep": "core['kept'] = (core.get('kept') or b'') + content",
    "echo": "ctx.reply(content, 'echo')",
    "log": "ctx.log(content.decode())",
    "flood": LOW["flood"],
    "world": LOW["world"],
    "fail": LOW["fail"].replace("outbox.send('out/a/b', type='t', content=1)", "ctx.reply(1)"),
    "ask": "core['kept'] = GET(content.decode())",
    "again": LOW["again"].replace("outbox.send('out/a/b', type='t', content=1)", "ctx.reply(1)"),
    "broken": ")",
}


FLOW = f"""from understudy import FlowContext, Wit
wit = Wit()
@wit.flow("text")
async def ask(what: str, ctx: FlowContext) -> str:
    return await ctx.request("{OTHER}", what, type="ask", returns=str)
"""


def body_of(behaviour: str, bodies: Mapping[str, str], *, waits: bool) -> str:
    """The lines of a function, with what they need before them."""
    body = bodies[behaviour]
    if behaviour == "again":
        return f"    from understudy import Retry\n    {body}\n"
    if behaviour != "ask":
        return f"    {body}\n"
    keyword, wait = ("async def", "await ") if waits else ("def", "")
    get = f"""    from understudy import CallFailed
    {keyword} get(url):
        try: return ({wait}ctx.http.get(url)).content
        except CallFailed as error: return error.code
"""
    return f"{get}    {body.replace('GET(', wait + 'get(')}\n"


def low_level(behaviour: str, *, waits: bool) -> str:
    body = body_of(behaviour, LOW, waits=waits)
    if behaviour == "keep":
        body = "    if step is None: return\n" + body
    keyword, pause = ("async def", "import asyncio; await asyncio.sleep(0); ") if waits else ("def", "")
    return f"{keyword} step_forward(step, messages, core, outbox, ctx):\n    {pause}\n{body}"


def comfortable(behaviour: str, *, waits: bool) -> str:
    if behaviour == "flow":
        return FLOW
    keyword, pause = ("async def", "import asyncio; await asyncio.sleep(0)") if waits else ("def", "pass")
    return (
        "from understudy import Context, Core, Wit\nwit = Wit()\n@wit.message('text')\n"
        f"{keyword} handle(content: bytes, core: Core, ctx: Context):\n    {pause}\n{body_of(behaviour, COMFORTABLE, waits=waits)}"
    )


class PythonSuite(WorldSuite, RetrySuite):
    waits = False

    def make_engine(self) -> PythonEngine:
        return PythonEngine()


class TestCodeInTheWitItself(PythonSuite):
    def files(self, behaviour: str) -> Mapping[str, str | bytes]:
        return {"wit": low_level(behaviour, waits=self.waits)}


class TestAsynchronousCodeInTheWitItself(TestCodeInTheWitItself):
    waits = True


class TestModuleInTheCore(PythonSuite):
    def files(self, behaviour: str) -> Mapping[str, str | bytes]:
        return {"wit": "/code:m:step_forward", "code/m.py": low_level(behaviour, waits=self.waits)}


class TestHandlers(PythonSuite, FlowSuite):
    def files(self, behaviour: str) -> Mapping[str, str | bytes]:
        return {"wit": "/code:m:wit", "code/m.py": comfortable(behaviour, waits=self.waits)}


class TestAsynchronousHandlers(TestHandlers):
    waits = True
