"""Client libraries that know nothing of us: each works with `ctx.http` or `ctx.httpx2`, and a replay needs no service."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import pytest

from tests.capabilities.acting import Acting, acting
from tests.capabilities.stub_server import StubServer
from understudy.node.running.impurity import Impure

ASKING = """
import anthropic
import openai

ASKED = {"model": "m", "messages": [{"role": "user", "content": "hello there"}]}

@wit.message("openai")
def chat(asked: list[str], ctx) -> str:
    client = openai.OpenAI(api_key="k", base_url=asked[0] + "/v1", http_client=getattr(ctx, asked[1]))
    return client.chat.completions.create(**ASKED).choices[0].message.content

@wit.message("openai stream")
def chat_stream(asked: list[str], ctx) -> str:
    client = openai.OpenAI(api_key="k", base_url=asked[0] + "/v1", http_client=getattr(ctx, asked[1]))
    chunks = client.chat.completions.create(**ASKED, stream=True)
    return "".join([chunk.choices[0].delta.content or "" for chunk in chunks]).strip()

@wit.message("openai async stream")
async def chat_later(asked: list[str], ctx) -> str:
    client = openai.AsyncOpenAI(api_key="k", base_url=asked[0] + "/v1", http_client=getattr(ctx, asked[1]))
    stream = await client.chat.completions.create(**ASKED, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream]).strip()

@wit.message("anthropic")
def message(asked: list[str], ctx) -> str:
    client = anthropic.Anthropic(api_key="k", base_url=asked[0], http_client=ctx.httpx2)
    return client.messages.create(**ASKED, max_tokens=9).content[0].text

@wit.message("anthropic async stream")
async def message_later(asked: list[str], ctx) -> str:
    client = anthropic.AsyncAnthropic(api_key="k", base_url=asked[0], http_client=ctx.httpx2)
    async with client.messages.stream(**ASKED, max_tokens=9) as stream:
        return "".join([text async for text in stream.text_stream]).strip()

@wit.message("refused")
def refused(asked: list[str], ctx) -> None:
    client = anthropic.Anthropic(
        api_key="k", base_url="https://api.example.com", http_client=ctx.httpx2, max_retries=0
    )
    client.messages.create(**ASKED, max_tokens=9)
"""


@pytest.fixture
def stub() -> Iterator[StubServer]:
    with StubServer() as stub:
        yield stub


@pytest.fixture
def clerk(stub: StubServer) -> Iterator[Acting]:
    with acting(ASKING, allow=[stub.place]) as clerk:
        yield clerk


@pytest.mark.parametrize(
    ("libraries", "kinds"),
    [
        (("http", "httpx2"), ("openai", "openai stream", "openai async stream")),
        (("httpx2",), ("anthropic", "anthropic async stream")),
    ],
)
def test_a_library_works_and_verifies_without_its_service(
    clerk: Acting, stub: StubServer, libraries: tuple[str, ...], kinds: tuple[str, ...]
):
    for kind in kinds:
        for library in libraries:
            assert clerk.tell(kind, [stub.url, library]) == "You said: hello there"
            assert len(clerk.journal()) == 1
    stub.stop()
    asked = len(stub.seen)
    assert clerk.verdict().ok
    assert len(stub.seen) == asked


def test_a_library_that_hides_the_reason_does_not_hide_it_from_the_author(clerk: Acting):
    text = clerk.fails("refused", [])
    assert text.startswith("APIConnectionError") and "[capabilities.http] allow = " in text, text


def test_a_library_reaches_around_nothing(
    stub: StubServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    # As in a new process: what machine it is, nobody asked yet.
    monkeypatch.setattr(platform, "_platform_cache", {})
    monkeypatch.setattr(platform, "_uname_cache", None)
    with acting(ASKING, allow=[stub.place], impure=Impure.REFUSE) as clerk:
        for kind in ("openai", "openai async stream", "anthropic", "anthropic async stream"):
            assert clerk.tell(kind, [stub.url, "httpx2"]) == "You said: hello there"
    assert [record.getMessage() for record in caplog.records if record.name == "understudy.impure"] == []
