"""Running a wit: what it is given in the low-level form, and what becomes of whatever it returns or raises."""

from __future__ import annotations

import asyncio
import gc
import signal
import warnings
from collections.abc import Awaitable

import pytest

from understudy.actors.contract import StepResult
from understudy.actors.errors import WitError
from understudy.engines.python.engine import PythonEngine
from understudy.engines.python.settings import SETTINGS
from understudy.engines.tasks import abandon
from understudy.objects.ids import raw_id
from understudy.objects.step import Outcome
from understudy.store.errors import Corrupt
from understudy.testing.engine_suite import PARENT, Objects, delivery, run, step_input

HEAD = "from understudy import *\nfrom understudy import Retry, Refusal, Outgoing\n"


def step(code, *, parent=PARENT, messages=("x",), files={}, **changes):  # noqa: B006
    """Run one step of a core whose /wit is this code: its input and its result."""
    objects = Objects()
    core = objects.core({"wit": HEAD + code, **files})
    deliveries = [delivery(objects, str(core), content, seq=number) for number, content in enumerate(messages, 1)]
    given = step_input(objects, core, deliveries, parent=parent, **changes)
    return given, run(PythonEngine(), given)


async def finish(result):
    return await result


def shown(code, **changes):
    """What the wit logged."""
    _, result = step(code, **changes)
    assert result.outcome is None, result.outcome.text
    return list(result.log)


@pytest.mark.parametrize(
    ("parameters", "expression", "expected"),
    [
        ("ctx", "ctx.height", "5"),
        ("context", "context.height", "5"),
        ("ctx, step", "step == ctx.step_id", "True"),
        ("ctx, last_step", "last_step == ctx.step_id", "True"),
        ("ctx, step_id", "step_id == ctx.step_id", "True"),
        ("ctx, last_step_id", "last_step_id == ctx.step_id", "True"),
        ("ctx, messages", "[m.text() for m in messages]", "['x']"),
        ("ctx, new_messages", "[m.text() for m in new_messages]", "['x']"),
        ("ctx, store", "store.tree(ctx.core.id()).keys()", "KeysView"),
        ("ctx, object_store", "hasattr(object_store, 'put_blob')", "True"),
        ("ctx, core", "sorted(core)", "['wit']"),
        ("ctx, inbox", "len(inbox), inbox.cursor('out/a/b')", "(1, None)"),
        ("ctx, outbox", "len(outbox), outbox.cursor('out/a/b')", "(0, None)"),
        ("ctx, actor", "actor == ctx.actor_id", "True"),
        ("ctx, actor_id", "str(actor_id) == str(ctx.actor_id)", "True"),
        ("ctx, a: StepId", "a == ctx.step_id", "True"),
        ("ctx, a: 'StepId | None'", "a == ctx.step_id", "True"),
        ("ctx, a: list[Message]", "[m.text() for m in a]", "['x']"),
        ("a: Context", "a.height", "5"),
        ("ctx, a: Core", "'wit' in a", "True"),
        ("ctx, a: Inbox, b: Outbox", "len(a), len(b)", "(1, 0)"),
        ("ctx, a: ActorId", "a == ctx.actor_id", "True"),
        ("ctx, a: Staging", "hasattr(a, 'put_blob')", "True"),
        ("ctx, store: 'Undefined'", "hasattr(store, 'put_blob')", "True"),
        ("ctx, colour='red'", "colour", "red"),
        ("ctx, colour='red', core=None", "colour, 'wit' in core", "('red', True)"),
        ("ctx, *, core", "'wit' in core", "True"),
        ("ctx, /, core", "'wit' in core", "True"),
        ("ctx, *args, **kwargs", "args, kwargs", "((), {})"),
        ("core, messages, store, ctx, inbox", "len(messages)", "1"),
    ],
)
def test_a_function_gets_what_it_names_or_annotates(parameters, expression, expected):
    context = "a" if parameters.startswith("a:") else "context" if parameters.startswith("context") else "ctx"
    assert shown(f"def wit({parameters}):\n    {context}.log(({expression}))")[0].startswith(expected)


def test_a_function_may_ask_for_nothing():
    assert step("def wit(): pass")[1].outcome is None
    assert step("async def wit(): pass")[1].outcome is None


def test_at_genesis_there_is_no_last_step():
    assert shown("def wit(ctx, step, last_step_id): ctx.log((step, last_step_id, ctx.step_id))", parent=None) == [
        "(None, None, None)"
    ]


def test_returning_nothing_keeps_what_was_changed_through_core_and_outbox():
    given, result = step(
        "def wit(core, outbox):\n    core['a/b'] = 'x'\n    outbox.send('out/a/b', type='t', content=[1])"
    )
    assert given.store.blob(given.store.find(result.core, "a/b")) == b"x"
    assert [given.store.blob(sent.content) for sent in result.sent] == [b"[1]"]


def test_a_wit_that_does_nothing_changes_nothing():
    given, result = step("def wit(): pass")
    assert result == StepResult(engine=f"python/2{SETTINGS}", core=given.core, log=[])
    assert not given.store.new


def test_returning_the_last_step_says_that_nothing_changed():
    given, result = step("def wit(step): return step")
    assert (result.core, result.outcome) == (given.core, None)


def test_a_draft_may_name_a_core_and_messages():
    given, result = step(
        "def wit(store, outbox):\n"
        "    outbox.send('out/a/b', type='first', content=1)\n"
        "    blob = store.put_blob(b'data')\n"
        "    core, send = store.put_tree({'wit': blob}), [Outgoing(to='out/a/b', type='second', content=blob)]\n"
        "    return Draft(core=core, send=send)"
    )
    assert result.outcome is None
    assert sorted(given.store.tree(result.core)) == ["wit"]
    assert [sent.type for sent in result.sent] == ["first", "second"]


def test_an_empty_draft_keeps_the_core_as_the_wit_left_it():
    given, result = step("def wit(core):\n    core['x'] = 'y'\n    return Draft()")
    assert "x" in given.store.tree(result.core)
    given, result = step("def wit(core):\n    core['x'] = 'y'\n    return Draft(core=core)")
    assert "x" in given.store.tree(result.core)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("def wit(): return 3", "returned an int; return None, a Draft, or the last step's id"),
        ("def wit(): return {'core': 1}", "returned a dict"),
        ("def wit(actor): return actor", "returned the id bafy"),
        ("def wit(): return (x for x in 'ab')", "returned a generator"),
        ("def wit(step, core):\n    core['x'] = 'y'\n    return step", "nothing changed, but it changed the core"),
        (
            "def wit(step, outbox):\n    outbox.send('out/a/b', type='t', content=1)\n    return step",
            "or sent messages",
        ),
        ("def wit(): return Draft(core='x')", "the draft's core is a str, not the id of a tree"),
        ("def wit(store): return Draft(core=store.put_blob(b''))", "not the id of a tree"),
        ("def wit(): return Draft(send=3)", "the draft's `send` must be a list of Outgoing"),
        ("def wit(): return Draft(send=[('out/a/b', 'hi')])", "must be a list of Outgoing"),
        ("def wit(step, core, store):\n    core['x'] = 'y'\n    return Draft(core=store.put_tree({}))", "also changed"),
    ],
)
def test_any_other_result_is_an_error_that_says_what_is_possible(code, text):
    given, result = step(code)
    assert (result.outcome.kind, result.outcome.code) == ("failed", "BadResult")
    assert text in result.outcome.text
    assert (result.core, list(result.sent)) == (given.core, [])


@pytest.mark.parametrize(
    ("statement", "kind", "code", "text"),
    [
        ("raise ValueError('no good')", "failed", "ValueError", "no good"),
        ("raise KeyError", "failed", "KeyError", "KeyError"),
        ("raise SystemExit(3)", "failed", "SystemExit", "3"),
        ("raise KeyboardInterrupt", "failed", "KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise MemoryError", "failed", "MemoryError", "MemoryError"),
        ("raise BaseException('deep')", "failed", "BaseException", "deep"),
        ("raise GeneratorExit('x')", "failed", "GeneratorExit", "x"),
        ("raise CallFailed('A', 'b')", "failed", "CallFailed", "A: b"),
        ("raise Refusal('TooPoor', 'you have 3')", "refused", "TooPoor", "you have 3"),
        ("raise Refusal('', '')", "refused", "Refused", ""),
        ("raise Refusal('two words\\n', '\\ud800')", "refused", "twowords", "?"),
    ],
)
@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_what_a_wit_raises_becomes_the_outcome(keyword, statement, kind, code, text):
    given, result = step(f"{keyword} wit(core):\n    core['x'] = 'y'\n    {statement}")
    place = f"\nat wit:5 in wit\n    {statement}" if kind == "failed" else ""
    assert result.outcome == Outcome(kind, code, text + place)
    assert (result.core, list(result.sent), result.retry) == (given.core, [], None)


def test_a_recursion_without_end_fails_and_shows_a_few_of_its_frames():
    _, result = step("def wit(): _again()\ndef _again(): _again()")
    assert result.outcome.code == "RecursionError"
    assert "… and from " in result.outcome.text
    assert len(result.outcome.text) < 2000


def test_an_exception_whose_message_can_not_be_read_or_is_huge_still_ends_the_step():
    _, result = step("class Bad(Exception):\n    def __str__(self): raise ValueError\ndef wit(): raise Bad")
    assert (result.outcome.code, result.outcome.text.splitlines()[0]) == (
        "Bad",
        "(the exception has no readable message)",
    )
    _, result = step("def wit(): raise ValueError('é' * 100_000)")
    assert len(result.outcome.text.encode()) <= 8192


MUTE = "class Mute:\n    def __str__(self): raise SystemExit\n"
UNREADABLE = "(the exception has no readable message)"


@pytest.mark.parametrize(
    ("classes", "kind", "code", "text"),
    [
        ("class E(Mute, Exception): pass", "failed", "E", UNREADABLE),
        (
            "class M(type): __name__ = property(lambda cls: 1 / 0)\nclass E(Exception, metaclass=M): pass",
            "failed",
            "Failed",
            "Exception",
        ),
        ("class E(Refusal):\n    def __init__(self): self.code = self.text = Mute()", "refused", "Refused", UNREADABLE),
        ("class E(WitError):\n    def __init__(self): self.code = Mute()", "failed", "Failed", "Exception"),
    ],
)
def test_an_exception_that_is_broken_itself_still_ends_the_step(classes, kind, code, text):
    _, result = step(f"{MUTE}{classes}\ndef wit(): raise E()")
    assert (result.outcome.kind, result.outcome.code, result.outcome.text.split("\n")[0]) == (kind, code, text)


def test_a_retry_may_not_say_why():
    for why, said in (("Mute()", UNREADABLE), ("''", "the wit asked for it")):
        assert step(f"{MUTE}def wit(): raise Retry({why})")[1].retry == said


def test_a_retry_is_no_outcome():
    given, result = step("def wit(core):\n    core['x'] = 'y'\n    raise Retry('the bank is closed')")
    assert (result.retry, result.outcome, result.core) == ("the bank is closed", None, given.core)
    assert step("async def wit(): raise Retry")[1].retry


def test_a_store_that_fails_is_not_the_wits_failure():
    class Broken(Objects):
        def block(self, id):
            if id == lost:
                raise Corrupt("a flipped bit", lost)
            return super().block(id)

    lost, objects = raw_id(b"data"), Broken()
    core = objects.core({"wit": "def wit(core): core['data']", "data": "data"})
    given = step_input(objects, core, [delivery(objects, str(core), "x")])
    with pytest.raises(Corrupt):
        run(PythonEngine(), given)


def test_an_id_that_names_nothing_fails_the_step_that_reads_or_sends_it():
    nothing = f"Id({bytes(raw_id(b'nothing'))!r})"
    for code in (
        f"store.blob({nothing})",
        f"core['x'] = {nothing}",
        f"outbox.send('out/a/b', type='t', content={nothing})",
    ):
        _, result = step(f"def wit(store, core, outbox): {code}")
        assert (result.outcome.kind, result.outcome.code) == ("failed", "Missing"), code


def test_ctrl_c_at_the_terminal_is_not_the_wits_failure():
    objects = Objects()
    core = objects.core({"wit": "import signal\ndef wit(): signal.raise_signal(signal.SIGINT)"})
    given = step_input(objects, core, [delivery(objects, str(core), "x")])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(PythonEngine(), given)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_cancelled_step_is_left_to_whoever_cancelled_it():
    objects = Objects()
    core = objects.core(
        {"wit": "import asyncio\nasync def wit(core):\n    core['x'] = 'y'\n    await asyncio.Event().wait()"}
    )
    given = step_input(objects, core, [delivery(objects, str(core), "x")])
    program = PythonEngine().load(core, "wit", objects)

    async def cancel():
        task = asyncio.ensure_future(finish(program.run(given)))
        # A turn for our task, and one for the wit's.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert not given.store.new


@pytest.mark.parametrize("when", ["never", "before our task", "before the wit's task"])
def test_a_step_that_nobody_awaits_leaves_no_coroutine_behind(when: str):
    objects = Objects()
    core = objects.core({"wit": "async def wit(): pass"})
    given = step_input(objects, core, [delivery(objects, str(core), "x")])

    async def cancel(result: Awaitable[StepResult]) -> None:
        task = asyncio.ensure_future(finish(result))
        if when == "before the wit's task":
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = PythonEngine().load(core, "wit", objects).run(given)
        assert not isinstance(result, StepResult)
        if when != "never":
            asyncio.run(cancel(result))
        abandon(result)
        del result
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_a_wit_that_stumbles_over_a_task_it_cancelled_itself_has_failed():
    code = (
        "import asyncio\nasync def wit():\n"
        "    task = asyncio.ensure_future(asyncio.sleep(0))\n    task.cancel()\n    await task"
    )
    assert step(code)[1].outcome.code == "CancelledError"
    assert step("import asyncio\ndef wit(): raise asyncio.CancelledError")[1].outcome.code == "CancelledError"


def test_a_wit_that_cancels_itself_has_failed():
    code = "import asyncio\nasync def wit(core):\n    asyncio.current_task().cancel()\n    await asyncio.sleep(0)"
    assert step(code)[1].outcome.code == "CancelledError"


def test_only_an_asynchronous_wit_gives_an_awaitable():
    objects = Objects()
    for keyword, waits in (("def", False), ("async def", True)):
        core = objects.core({"wit": f"{keyword} wit(): pass"})
        given = step_input(objects, core, [delivery(objects, str(core), "x")])
        result = PythonEngine().load(core, "wit", objects).run(given)
        assert isinstance(result, StepResult) is not waits
        if not isinstance(result, StepResult):
            assert asyncio.run(finish(result)).outcome is None


def test_one_step_sends_at_most_ten_thousand_messages():
    send = "def wit(outbox):\n    for n in range({}): outbox.send('out/a/b', type='t', content=1)"
    assert len(step(send.format(10_000))[1].sent) == 10_000
    _, result = step(send.format(10_001))
    assert (result.outcome.code, list(result.sent)) == ("TooManySent", [])
    draft = (
        "def wit(store):\n"
        "    m = Outgoing(to='out/a/b', type='t', content=store.put_blob(b''))\n"
        "    return Draft(send=[m] * 10_001)"
    )
    assert step(draft)[1].outcome.code == "TooManySent"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("to='no/body', type='t', content=1", "BadName"),
        ("to='out/a/b', type='', content=1", "BadName"),
        ("to='out/a/b', type='a\\nb', content=1", "BadName"),
        ("to='out/a/b', type='t' * 256, content=1", "BadName"),
        ("to='out/a/b', type='t', content=1, lane='fast'", "BadName"),
        ("to='out/a/b', type='t', content=1, headers={'a': 'b' * 10_000}", "BadName"),
        ("to='out/a/b', type='t', content=1, re='x'", "BadId"),
        ("to='out/a/b', type='t', content=object()", "TypeError"),
    ],
)
def test_a_message_that_can_not_be_sent_fails_in_the_line_that_sends_it(message, code):
    _, result = step(f"def wit(outbox):\n    outbox.send({message})")
    assert result.outcome.code == code
    assert "wit:4 in wit" in result.outcome.text
    if "object()" not in message:
        made = message.replace("content=1", "content=store.put_blob(b'')")
        _, result = step(f"def wit(store):\n    return Draft(send=[Outgoing({made})])")
        assert result.outcome.code == code


def test_a_log_entry_may_be_anything_and_a_flood_stops_at_one_mebibyte():
    assert shown("def wit(ctx):\n    ctx.log(3)\n    ctx.log(None)\n    ctx.log('')") == ["3", "None", ""]
    _, result = step("def wit(ctx):\n    ctx.log('x' * 5_000_000)\n    ctx.log('after')")
    assert [len(line) for line in result.log] == [1024 * 1024 + 1]


def test_the_engine_text_of_code_in_the_core_names_the_abi_and_the_interpreter():
    assert step("def wit(): pass")[1].engine == f"python/2{SETTINGS}"


def test_wit_update_is_an_entry_like_wit():
    objects = Objects()
    core = objects.core({"wit": "def wit(): pass", "wit_update": "def wit_update(core): core['x'] = 'y'"})
    given = step_input(objects, core, [delivery(objects, str(core), "x")])
    result = run(PythonEngine(), given, "wit_update")
    assert "x" in given.store.tree(result.core)


def test_a_callable_object_may_be_a_wit():
    code = "class Do:\n    {} __call__(self, core): core['x'] = 'y'\nwit = Do()"
    for keyword in ("def", "async def"):
        objects = Objects()
        core = objects.core({"wit": "/code:m:wit", "code/m.py": code.format(keyword)})
        given = step_input(objects, core, [delivery(objects, str(core), "x")])
        assert "x" in given.store.tree(run(PythonEngine(), given).core)


def test_a_function_without_a_signature_is_a_named_error():
    objects = Objects()
    with pytest.raises(WitError) as caught:
        PythonEngine().load(objects.core({"wit": "/code:m:wit", "code/m.py": "wit = getattr"}), "wit", objects)
    assert caught.value.code == "WrongSignature"


LEFT_BEHIND = """
import threading
left = []
def {name}(ctx, core, outbox):
    def later(what):
        try:
            eval(what, {{"ctx": ctx, "core": core, "outbox": outbox, "inner": inner}})
        except Exception as error:
            left.append((what, type(error).__name__, str(error)))
        else:
            left.append((what, "nothing", ""))
    core["x"] = "y"
    inner = core.dir("inner")
    {name}.later = later
    {name}.left = left
    {ends}
"""


@pytest.mark.parametrize("ends", ["return None", "raise ValueError", "ctx.send('out/a/b', 1, type='t')"])
@pytest.mark.parametrize("keyword", ["def", "async def"])
@pytest.mark.parametrize(
    "what",
    [
        "ctx.send('out/a/b', 1, type='t')",
        "outbox.send('out/a/b', content=1, type='t')",
        "ctx.log('x')",
        "core.set_json('x', 1)",
        "inner.set_json('x', 1)",
        "ctx.core.set_json('x', 1)",
        "ctx.spawn({'wit': 'x'})",
        "ctx.update('out/a/b', {'x': None})",
    ],
)
def test_what_a_handler_left_behind_hears_that_the_step_is_over(keyword, ends, what):
    objects, engine = Objects(), PythonEngine()
    core = objects.core({"wit": LEFT_BEHIND.format(name="f", ends=ends).replace("def f", f"{keyword} f")})
    given = step_input(objects, core, [delivery(objects, str(core), "x")])
    result = run(engine, given)
    function = engine.load(core, "wit", objects).function
    function.later(what)
    ((_, error, text),) = function.left
    assert (error, "the step is over" in text) == ("WitError", True)
    assert run(engine, given) == result
