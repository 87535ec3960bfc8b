"""A page of one actor, tried in a real browser: its script does all it can think of to speak as somebody else.

Each way that it tries is one test, so that a new one has a place. What counts is what the victim got, not what the
attacker believes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.web.served import Served
from tests.web.test_guestbook import CHROMIUM, needs_browser
from understudy.web import protocol, security_headers
from understudy.web.protocol import MAX_HEAD_BYTES

VICTIM = """
from understudy import Blob, Wit

wit = Wit()


@wit.message("sign")
def sign(data: bytes) -> None:
    pass


@wit.query
def page() -> Blob:
    return Blob.html("<title>victim</title>")
"""
ATTACKER = '''
from understudy import Blob, Refusal, Wit

wit = Wit()


@wit.query
def page() -> Blob:
    return Blob.html("<title>attacker</title><body><button>go</button><script src='../core/attack.js'></script>")


@wit.query
def text() -> Blob:
    return Blob(b"text", "text/plain")


@wit.query
def svg() -> Blob:
    return Blob(b"<svg xmlns='http://www.w3.org/2000/svg'><script>parent.postMessage(1, '*')</script></svg>", "image/svg+xml")


@wit.query
def numbers() -> list[int]:
    return [1, 2, 3]


@wit.query
def refuses() -> int:
    raise Refusal("No", "never")


@wit.query
def breaks() -> int:
    raise ValueError("broken")


@wit.query
def worker() -> Blob:
    return Blob(JOB, "text/javascript")


JOB = b"""
fetch('/actors/victim/messages/sign', {method: 'POST', body: '{}'})
    .then((answer) => postMessage('went ' + answer.status), () => postMessage('refused'));
"""
'''
ATTACK = """
const TARGET = "/actors/victim/messages/sign";
const ORDER = {method: "POST", body: "{}"};
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const said = (promise) => promise.then((answer) => "went " + answer.status, () => "refused");
const within = (promise) => Promise.race([promise, wait(3000).then(() => "refused")]);

async function by_realm(realm) {
    try { return await within(said(realm.fetch(TARGET, ORDER))); } catch { return "refused"; }
}
async function embed(kind, place, address) {
    const box = document.createElement(kind);
    const loaded = new Promise((done) => { box.onload = box.onerror = done; });
    box[place] = address;
    document.body.append(box);
    await within(loaded);
    return box;
}
window.ways = {
    own: () => said(fetch(TARGET, ORDER)),
    beacon: async () => navigator.sendBeacon(TARGET, "{}") ? (await wait(500), "sent") : "refused",
    form: async () => {
        const form = document.createElement("form");
        Object.assign(form, {method: "POST", action: TARGET, target: (await embed("iframe", "name", "box")).name});
        document.body.append(form); form.submit(); await wait(500);
        return "submitted";
    },
    frame: async (address) => by_realm((await embed("iframe", "src", address)).contentWindow),
    object: async (address) => by_realm((await embed("object", "data", address)).contentWindow),
    source: async () => {
        const box = await embed("iframe", "srcdoc", "<title>empty</title>");
        return by_realm(box.contentWindow);
    },
    opened: async (address) => {
        const other = window.open(address);
        if (!other) return "no window";
        await wait(1500);
        return by_realm(other);
    },
    worker: async (address) => new Promise((done) => {
        try {
            const worker = new Worker(address);
            worker.onmessage = (message) => done(message.data);
            worker.onerror = () => done("refused");
            setTimeout(() => done("refused"), 3000);
        } catch { done("refused"); }
    }),
    shared: async (address) => {
        try { new SharedWorker(address); } catch { return "refused"; }
        await wait(1000);
        return "started";
    },
    service: async (address) => {
        try { await navigator.serviceWorker.register(address, {scope: "/"}); } catch { return "refused"; }
        return "registered";
    },
};
"""
JOB = """
fetch("/actors/victim/messages/sign", {method: "POST", body: "{}"})
    .then((answer) => postMessage("went " + answer.status), () => postMessage("refused"));
"""
LONG = "../core/" + "x" * MAX_HEAD_BYTES
FRAMED = [
    "../steps", "../chain", "../wut", "../openapi.json", "../core/", "../core/page.html", "../core/page.svg", "../core/page.xml",
    "../core/nothing", "../nothing", "../messages/sign", "../events", ".", "", "text", "svg", "numbers", "refuses", "breaks",
    "nothing", "numbers?at=1", "../core/%ff", "..%2Fvictim/query/page", LONG, "/", "/actors", "/actors/victim", "/healthz",
    "/openapi.json", "/actors/victim/query/page", "/events", "about:blank", "data:text/html,x",
    "javascript:fetch('/actors/victim/messages/sign',{method:'POST',body:'{}'})",
]  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served() as served:
        served.create({"wit": VICTIM}, "victim")
        files = {"attack.js": ATTACK, "worker.js": JOB, "page.html": "<title>x</title>", "page.xml": "<x/>"}
        served.create({"wit": ATTACKER, **files, "page.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>"}, "attacker")
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-popup-blocking"]
        )
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    yield context
    context.close()


def attack(served: Served, context: BrowserContext, way: str, address: str = "") -> str:
    """What the attacker's page believes it did."""
    page = context.new_page()
    page.goto(f"{served.address}/actors/attacker/query/page")
    page.wait_for_function("window.ways !== undefined")
    said: str = page.evaluate(f"window.ways[{json.dumps(way)}]({json.dumps(address)})")
    return said


def height(served: Served) -> int:
    found: int = served.client.get("/actors/victim").json()["height"]
    return found


@needs_browser
@pytest.mark.parametrize("address", FRAMED, ids=[address[:40] for address in FRAMED])
def test_no_document_of_the_node_lends_its_powers_to_who_frames_it(
    served: Served, context: BrowserContext, address: str
) -> None:
    assert attack(served, context, "frame", address) == "refused"
    assert height(served) == 0


@needs_browser
@pytest.mark.parametrize(
    "address", ["/actors/victim/query/page", "/actors", "/nothing", "/openapi.json", "../core/page.html"]
)
def test_no_window_of_the_node_lends_its_powers_to_who_opens_it(
    served: Served, context: BrowserContext, address: str
) -> None:
    assert attack(served, context, "opened", address) == "refused"
    assert height(served) == 0


@needs_browser
@pytest.mark.parametrize(
    ("way", "address"),
    [
        ("own", ""),
        ("beacon", ""),
        ("form", ""),
        ("source", ""),
        ("object", "../steps"),
        ("object", "../core/page.svg"),
        ("worker", "worker"),
        ("worker", "../core/worker.js"),
        ("shared", "worker"),
        ("shared", "../core/worker.js"),
        ("service", "worker"),
        ("service", "../core/worker.js"),
    ],
)
def test_no_other_way_leads_to_another_actor(served: Served, context: BrowserContext, way: str, address: str) -> None:
    attack(served, context, way, address)
    assert height(served) == 0


@needs_browser
@pytest.mark.parametrize(
    ("way", "address"), [("frame", "../steps"), ("frame", LONG), ("opened", "/actors/victim/query/page")]
)
def test_the_attacker_is_able_where_nothing_holds_it(
    context: BrowserContext, monkeypatch: pytest.MonkeyPatch, way: str, address: str
) -> None:
    """The attack itself: without our headers it works, or the tests above would say nothing."""
    monkeypatch.setattr(security_headers, "with_security_headers", lambda headers, status: headers)
    monkeypatch.setattr(protocol, "with_security_headers", lambda headers, status: headers)
    with Served() as other:
        other.create({"wit": VICTIM}, "victim")
        other.create({"wit": ATTACKER, "attack.js": ATTACK}, "attacker")
        assert attack(other, context, way, address) == "went 200"
        assert height(other) == 1
