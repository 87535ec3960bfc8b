"""The Python engine under the conformance suite, once for each form in which a wit can be written."""

from __future__ import annotations

from collections.abc import Mapping

from understudy.engines.python.engine import PythonEngine
from understudy.testing.engine_suite import EngineSuite

LOW = {
    "keep": "kept = core.get('kept') or b''\n    core['kept'] = kept + b''.join(m.bytes() for m in messages)",
    "echo": "for m in messages: outbox.send(m.sender, type='echo', content=m.bytes())",
    "log": "for m in messages: ctx.log(m.text())",
    "flood": "for _ in range(4096): ctx.log('x' * 1024)",
    "world": "core['kept'] = f'{ctx.time_us} {ctx.random.random()}'",
    "fail": (
        "core['kept'] = 'lost'; outbox.send('out/a/b', type='t', content=1); ctx.log('before'); raise ValueError('no')"
    ),
    "broken": ")",
}
COMFORTABLE = {
    "keep": "core['kept'] = (core.get('kept') or b'') + content",
    "echo": "ctx.reply(content, 'echo')",
    "log": "ctx.log(content.decode())",
    "flood": LOW["flood"],
    "world": LOW["world"],
    "fail": LOW["fail"].replace("outbox.send('out/a/b', type='t', content=1)", "ctx.reply(1)"),
    "broken": ")",
}


def low_level(behaviour: str, *, waits: bool) -> str:
    body = LOW[behaviour]
    if behaviour == "keep":
        body = "if step is None: return\n    " + body
    keyword, pause = ("async def", "import asyncio; await asyncio.sleep(0); ") if waits else ("def", "")
    return f"{keyword} step_forward(step, messages, core, outbox, ctx):\n    {pause}\n    {body}\n"


def comfortable(behaviour: str, *, waits: bool) -> str:
    keyword, pause = ("async def", "import asyncio; await asyncio.sleep(0)") if waits else ("def", "pass")
    return (
        "from understudy import Context, Core, Wit\nwit = Wit()\n@wit.message('text')\n"
        f"{keyword} handle(content: bytes, core: Core, ctx: Context):\n    {pause}\n    {COMFORTABLE[behaviour]}\n"
    )


class PythonSuite(EngineSuite):
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


class TestHandlers(PythonSuite):
    def files(self, behaviour: str) -> Mapping[str, str | bytes]:
        return {"wit": "/code:m:wit", "code/m.py": comfortable(behaviour, waits=self.waits)}


class TestAsynchronousHandlers(TestHandlers):
    waits = True
