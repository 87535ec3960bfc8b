"""The record of a flow: `/flows/ID` in the core, a tree of small files.

The law: a record only grows, and what is written of it at once is its last page, so a long flow's next await costs as much
as its first one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from understudy.actors.errors import WitError
from understudy.objects.errors import ObjectError
from understudy.objects.ids import Id, TreeId
from understudy.store.maps import edit_tree
from understudy.store.reader import Reader, Staging
from understudy.wit.content import put_bytes
from understudy.wit.flows.lines import Answered, Event, Line, line_bytes, read_lines

FOLDER: Final = "flows"
FORM: Final = 1
MAX_RECORD: Final = (
    16 * 1024 * 1024
)  # bytes of answers and lines: a re-run reads them all, and forty flows fill 640 MiB
INLINE: Final = 1024  # bytes: a longer answer is a file of its own, so that a page stays small
_PAGE: Final = 8 * 1024  # bytes from which on the next line begins a new page: a page is written again with each line
BEGIN: Final = "begin"
_PAYLOAD: Final = "payload"
PAGES: Final = "record"
_ANSWERS: Final = "answers"
ARRIVED: Final = "arrived"
STOPPED: Final = "stopped"
CANCEL: Final = "cancel"
CANCEL_TOLD: Final = "cancel-told"  # the same; who began the flow is told the text, too


class Begin(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a flow began: by a message, or by an ask of another flow, its parent.

    `time` and `seed` are those of its first step.
    """

    v: int
    type: str
    time: int
    seed: int
    sender: str | None = None
    parent: str | None = None
    ask: int | None = None


class Stop(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a flow does not go on, and since when."""

    why: str
    since: int
    missed: list[int] = []  # calls that were to be made meanwhile


class Record:
    """One flow's record, as it is read and as it grows."""

    def __init__(self, begin: Begin, payload: Id) -> None:
        self.begin = begin
        self.payload = payload
        self.tree: TreeId | None = None  # as it stands in the core
        self.size = 0
        self.stopped: Stop | None = None
        self.missed: list[int] = []  # calls that were to be made while it was stopped
        self.cancel: str | None = None  # what an operator who cancels it put beside the record
        self.is_cancel_told = False  # to who began it
        self.arrived: list[Event] = []  # while it was stopped
        self._pages: Id | None = None
        self._answers: Id | None = None
        self._count = 0  # of pages
        self._last = b""
        self._fresh: dict[str, bytes] = {}  # pages to write
        self._files: dict[str, Id] = {}  # answers to write
        self._contents: dict[int, bytes] = {}

    @classmethod
    def read(cls, store: Reader, tree: Id) -> Record:
        """The record in a tree. Raises WitError("BadFlow"), StoreError."""
        try:
            entries = store.tree(tree)
            record = cls(_begin(store.blob(entries[BEGIN])), Id(entries[_PAYLOAD]))
            record.tree = TreeId(tree)
            record._pages = entries.get(PAGES)
            record._answers = entries.get(_ANSWERS)
            if STOPPED in entries:
                record.stopped = _stop(store.blob(entries[STOPPED]))
                record.missed = list(record.stopped.missed)
            record.is_cancel_told = CANCEL_TOLD in entries
            cancel = entries.get(CANCEL_TOLD) or entries.get(CANCEL)
            if cancel is not None:
                record.cancel = store.blob(cancel).decode()
            if ARRIVED in entries:
                arrived = read_lines(store.blob(entries[ARRIVED]))
                record.arrived = [line for line in arrived if isinstance(line, Event)]
            return record
        except (KeyError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise WitError("BadFlow", f"what stands below /{FOLDER} is no record of a flow: {error}") from error
        except ObjectError as error:
            raise WitError("BadFlow", f"a record below /{FOLDER} can't be read: {error}") from error

    def read_lines(self, store: Reader) -> list[Line]:
        """All lines; from here on the record can grow. Raises WitError("BadFlow")."""
        lines: list[Line] = []
        if self._pages is not None:
            pages = sorted(store.tree(self._pages).items())
            for _, page in pages:
                self._last = store.blob(page)
                self.size += len(self._last)
                lines += read_lines(self._last)
            self._count = len(pages)
        self.size += sum(len(self.content(store, line)) for line in lines if isinstance(line, Answered) and line.file)
        return lines

    def content(self, store: Reader, line: Answered) -> bytes:
        """The bytes of an answer that is none of an error."""
        if not line.file:
            return (line.text or "").encode()
        known = self._contents.get(line.n)
        if known is not None:
            return known
        found = None if self._answers is None else store.find(self._answers, str(line.n))
        if found is None:
            raise WitError("BadFlow", f"the record of a flow lacks the file of answer {line.n}")
        return store.blob(found)

    def answer(self, store: Staging, n: int, content: bytes, *, time: int, now: bool = False) -> Answered:
        """The line of an answer; its file is kept, if it needs one. Too much for the record is an error for the flow."""
        if self.size + len(content) > MAX_RECORD:
            text = f"the answer has {len(content):,} bytes: the record of a flow holds {MAX_RECORD:,} in all"
            return Answered(n=n, time=time, now=now, error=("TooLarge", text))
        if len(content) <= INLINE:
            try:
                return Answered(n=n, time=time, now=now, text=content.decode())
            except UnicodeDecodeError:
                pass
        self.size += len(content)
        self._files[str(n)] = put_bytes(store, content)
        self._contents[n] = content
        return Answered(n=n, time=time, now=now, file=True)

    def add(self, lines: Iterable[Line]) -> None:
        """Append lines."""
        for line in lines:
            data = line_bytes(line)
            self.size += len(data)
            if not self._count or len(self._last) >= _PAGE:
                self._count += 1
                self._last = b""
            self._last += data
            self._fresh[f"{self._count - 1:04}"] = self._last

    def save(self, store: Staging) -> TreeId:
        """Stage the record as it is now."""
        if self._fresh:
            pages = {name: put_bytes(store, data) for name, data in self._fresh.items()}
            self._pages = _edited(store, self._pages, pages)
        if self._files:
            self._answers = _edited(store, self._answers, self._files)
        self._fresh, self._files = {}, {}
        self._contents.clear()
        entries: dict[str, bytes] = {BEGIN: put_bytes(store, _encode(self.begin)), _PAYLOAD: self.payload}
        if self._pages is not None:
            entries[PAGES] = self._pages
        if self._answers is not None:
            entries[_ANSWERS] = self._answers
        if self.stopped is not None:
            stopped = msgspec.structs.replace(self.stopped, missed=self.missed)
            entries[STOPPED] = put_bytes(store, _encode(stopped))
        if self.arrived:
            entries[ARRIVED] = put_bytes(store, b"".join(map(line_bytes, self.arrived)))
        self.tree = store.put_tree(entries)
        return self.tree


def _edited(store: Staging, tree: Id | None, changes: dict[str, Id]) -> Id:
    return edit_tree(store, tree, changes) if tree is not None else store.put_tree(changes)


_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_begin: Final = msgspec.json.Decoder(Begin).decode
_stop: Final = msgspec.json.Decoder(Stop).decode
