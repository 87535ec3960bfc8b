"""A guest book that is a web application in one actor: its page is a query, its style and script are files of its core.

Open /actors/guestbook/query/page in a browser. The page posts the message `sign`; every entry is a step of the history.
"""

from html import escape
from string import Template
from typing import Annotated

from msgspec import Meta, Struct

from understudy import Blob, Context, Core, QueryContext, Refusal, Wit

PER_PAGE = 5
ENTRY = "entries/{:08}"


class Sign(Struct, forbid_unknown_fields=True):
    """What a guest writes."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    text: Annotated[str, Meta(min_length=1, max_length=1000)]


class Entry(Struct):
    """An entry as it stands in the core."""

    number: int
    name: str
    text: str
    time: str


class Book(Struct):
    """What the book counts."""

    count: int = 0


wit = Wit()


@wit.message("sign")
def sign(guest: Sign, state: Book, core: Core, ctx: Context) -> Entry:
    """Write into the book."""
    name, text = guest.name.strip(), guest.text.strip()
    if not name or not text:
        raise Refusal("Empty", "a guest has a name, and something to say")
    state.count += 1
    entry = Entry(number=state.count, name=name, text=text, time=ctx.now().strftime("%Y-%m-%d %H:%M UTC"))
    core.set_json(ENTRY.format(entry.number), entry)
    return entry


@wit.query
def entries(ctx: QueryContext, state: Book, page: Annotated[int, Meta(ge=1, le=10_000_000)] = 1) -> list[Entry]:
    """The entries of a page, newest first."""
    newest = state.count - (page - 1) * PER_PAGE
    numbers = range(newest, max(0, newest - PER_PAGE), -1)
    return [ctx.core.json(ENTRY.format(number), Entry) for number in numbers]


@wit.query
def page(ctx: QueryContext, state: Book, number: Annotated[int, Meta(ge=1, le=10_000_000)] = 1) -> Blob:
    """The book as a web page."""
    template = Template(ctx.core.text("static/page.html"))
    written = "".join(map(_entry, entries(ctx, state, number)))
    last = max(1, -(-state.count // PER_PAGE))
    return Blob.html(
        template.substitute(
            count=state.count,
            entries=written or "<p class='empty'>Nobody has been here yet.</p>",
            newer=f"<a rel='prev' href='./page?number={number - 1}'>Newer</a>" if number > 1 else "",
            older=f"<a rel='next' href='./page?number={number + 1}'>Older</a>" if number < last else "",
            number=number,
            last=last,
        )
    )


def _entry(entry: Entry) -> str:
    """What guests wrote is text, whatever it looks like."""
    return (
        f"<article id='entry-{entry.number}'><p>{escape(entry.text)}</p>"
        f"<footer>{escape(entry.name)}, {escape(entry.time)}</footer></article>"
    )
