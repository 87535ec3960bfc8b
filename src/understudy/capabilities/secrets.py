"""Secrets: what actors may show to the hosts that an operator named, and never get to see.

The law: code has a marker, which says nothing. The value is put in its place on the way out and taken out of what comes
back; it stands in no core, journal, log or error. Each secret is a file for its owner alone, beside the store.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

import msgspec
from msgspec import Struct

from understudy.actors.errors import CallFailed
from understudy.actors.exchange import MARKER, Headers
from understudy.capabilities.http_places import LOCALHOST, BadPlace, address_of, parse_place
from understudy.capabilities.secret_commands import CommandFailed, SecretCommands
from understudy.objects.wording import counted
from understudy.store.whole_files import write_whole

FOLDER: Final = "secrets"
MAX_SECRETS: Final = 1000  # each is a file; who reads one response reads all that its host may see
LEAST_CHARACTERS: Final = (
    8  # of a value: a shorter one stands in responses by chance, and could be guessed from what is cut out
)
MOST_CHARACTERS: Final = 8192
PIECE: Final = 256 * 1024  # bytes that are searched at a time
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
_JSON: Final = re.compile(r"application/([a-z0-9.+-]+\+)?json\b")
_FORM: Final = "application/x-www-form-urlencoded"
_BASIC: Final = "basic "
_UNESCAPED: Final = ("", "/", "/?:@!$&'()*,;=", "/?:@!$&'()*+,;=")  # what libraries leave as it is in a URL


class BadSecret(Exception):
    """A secret that can't be, or can't be read. The text never holds a value."""


class Secret(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A secret as it is kept: for which hosts and actors, and where its value is (in one of three ways)."""

    name: str
    to: tuple[str, ...]
    actors: tuple[str, ...] | None = None
    value: str | None = None
    env: str | None = None
    command: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        return f"Secret({self.name})"

    @property
    def source(self) -> str:
        """Where the value comes from, for people."""
        if self.env is not None:
            return f"the environment variable {self.env}"
        return "a command" if self.command is not None else "a file"

    def is_for(self, host: str, port: int) -> bool:
        """True if a host may see it."""
        return any(parse_place(place).covers(host, port) for place in self.to)

    def is_of(self, actor: tuple[str | None, str]) -> bool:
        """True if an actor, by its name and its id, may use it."""
        return self.actors is None or any(each in self.actors for each in actor if each is not None)


class Filled(Struct, frozen=True, kw_only=True):
    """A request with its secrets: what is sent, and which values must not come back."""

    target: str
    headers: Headers
    body: bytes
    values: Mapping[str, str] = {}  # by name

    def __repr__(self) -> str:
        return "Filled(…)"

    def scrub(self, text: str) -> str:
        """The text without the values, in whatever usual form they stand there."""
        for name, value in self.values.items():
            for form in _forms(value):
                text = text.replace(form, _shown(name))
        return text

    def scrub_bytes(self, data: bytes) -> bytes:
        """The same for bytes."""
        for name, value in self.values.items():
            for form in _forms(value):
                if _stands_in(data, form.encode()):
                    data = data.replace(form.encode(), _shown(name).encode())
        return data


class Secrets:
    """The secrets of one store. Several processes may use them; the next call sees what changed."""

    def __init__(self, store: Path | None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`store` is the store's folder; without one there are no secrets."""
        self._folder = None if store is None else store / FOLDER
        self._commands = SecretCommands(monotonic)

    def any(self) -> bool:
        """True if there is a secret."""
        return next(self._paths(), None) is not None

    def all(self) -> list[Secret]:
        """Every secret, by name. Raises BadSecret."""
        return [secret for path in sorted(self._paths()) if (secret := self.find(path.stem)) is not None]

    def find(self, name: str) -> Secret | None:
        """The secret of a name. Raises BadSecret."""
        if self._folder is None or not _NAME.match(name):
            return None
        path = self._folder / f"{name}.json"
        try:
            if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise BadSecret(f"the file of the secret {name} can be read by others: chmod 600 {path}")
            return msgspec.json.decode(path.read_bytes(), type=Secret)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is damaged"
            raise BadSecret(f"the file of the secret {name} can't be read: {why}") from None

    def set(self, secret: Secret) -> None:
        """Keep a secret, in place of one of this name. Raises BadSecret for one that can't be."""
        if self._folder is None:
            raise BadSecret("this store has no folder to keep secrets in")
        check_secret(secret)
        if self.find(secret.name) is None and len(list(self._paths())) >= MAX_SECRETS:
            raise BadSecret(f"there are {MAX_SECRETS:,} secrets, which is the most; remove one first")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_whole(self._folder / f"{secret.name}.json", msgspec.json.encode(secret), synced=True)
        except OSError as error:
            raise BadSecret(f"{self._folder} can't be written: {error.strerror}") from None

    def remove(self, name: str) -> bool:
        """Forget a secret; False if there was none."""
        if self._folder is None or not _NAME.match(name):
            return False
        try:
            (self._folder / f"{name}.json").unlink()
        except FileNotFoundError:
            return False
        return True

    def refuse_markers(self, parts: Filled, markers: Mapping[str, str]) -> Filled:
        """The request as it is. Raises CallFailed: NoSecret if it wants a secret, StaleSecret if it wanted one in another step."""
        _refuse_stale(parts, markers)
        for name in _wanted(parts, markers).values():
            raise _no_secret(name, parts)
        return parts

    def fill(
        self,
        parts: Filled,
        markers: Mapping[str, str],
        *,
        host: str,
        port: int,
        safe: bool,
        actor: tuple[str | None, str],
    ) -> Filled:
        """Put the values in the places of their markers. Blocks while a command prints one.

        What comes back is freed of every secret that the host may see, also of those that this request did not want.
        Raises CallFailed: NoSecret, StaleSecret, NotGranted.
        """
        _refuse_stale(parts, markers)
        try:
            known = {secret.name: secret for secret in self.all()}
            wanted = _wanted(parts, markers)
            for name in wanted.values():
                if name not in known:
                    raise _no_secret(name, parts)
                _check_use(known[name], host, port, safe, actor)
            values: dict[str, str] = {}
            for name, secret in known.items():
                if name in wanted.values():
                    values[name] = self._value(secret)
                elif secret.is_for(host, port):
                    # It can't be here if it can't be had.
                    with contextlib.suppress(BadSecret):
                        values[name] = self._value(secret)
        except BadSecret as error:
            raise CallFailed("NoSecret", f"{error} (nothing was sent)") from None
        return _filled(parts, {marker: values[name] for marker, name in wanted.items()}, values)

    def _value(self, secret: Secret) -> str:
        if secret.value is not None:
            return secret.value
        if secret.env is not None:
            value = os.environ.get(secret.env)
            if value is None:
                raise BadSecret(f"the secret {secret.name} is in {secret.env}, which the node's environment has not")
            return _checked(secret.name, value)
        assert secret.command is not None
        try:
            return _checked(secret.name, self._commands.value(secret.command))
        except CommandFailed as error:
            raise BadSecret(f"the command for the secret {secret.name} {error}") from None

    def _paths(self) -> Iterator[Path]:
        return iter(()) if self._folder is None else self._folder.glob("[!.]*.json")


NO_SECRETS: Final = Secrets(None)


def is_safe_for_secrets(scheme: str, host: str) -> bool:
    """True if nobody on the way can read what is sent: it is encrypted, or stays on the machine."""
    address = address_of(host)
    return scheme == "https" or host == LOCALHOST or (address is not None and address.is_loopback)


def check_secret(secret: Secret) -> None:
    """Raise BadSecret that says why a secret can't be kept."""
    if not _NAME.match(secret.name):
        raise BadSecret(f"{secret.name!r} is no name of a secret: letters, digits and _, like STRIPE_KEY")
    if not secret.to:
        raise BadSecret("say for which hosts the secret is, e.g. --to api.stripe.com")
    try:
        for place in secret.to:
            if parse_place(place).name == "*":
                raise BadSecret("a secret is for hosts that are named: * would show it to anybody")
    except BadPlace as error:
        raise BadSecret(str(error)) from None
    if sum(source is not None for source in (secret.value, secret.env, secret.command)) != 1:
        raise BadSecret("a secret has one value: from standard input, --env or --command")
    if secret.value is not None:
        _checked(secret.name, secret.value)


def _checked(name: str, value: str) -> str:
    if not LEAST_CHARACTERS <= len(value) <= MOST_CHARACTERS:
        raise BadSecret(
            f"the value of {name} has {counted(len(value), 'character')}: {LEAST_CHARACTERS} to {MOST_CHARACTERS:,} are possible; "
            "a shorter one could not be told from other text in a response"
        )
    if not value.isascii() or not value.isprintable():
        raise BadSecret(f"the value of {name} has a line feed, or another character that no header can have")
    return value


def _refuse_stale(parts: Filled, markers: Mapping[str, str]) -> None:
    """Raise CallFailed for a header with a marker that means nothing any more, as a client has it that was kept.

    Not for a body: what stands there may be somebody's message.
    """
    for _, value in parts.headers:
        for found in MARKER.finditer(f"{value} {_basic(value)}"):
            if found[0] not in markers:
                raise CallFailed(
                    "StaleSecret",
                    f"this marker of the secret {found[1]} is of another step: call ctx.secret in the step that makes the request, "
                    "and make a client that holds it there, too (nothing was sent)",
                )


def _check_use(secret: Secret, host: str, port: int, safe: bool, actor: tuple[str | None, str]) -> None:
    if not secret.is_of(actor):
        raise CallFailed("NotGranted", f"the secret {secret.name} is not for this actor (nothing was sent)")
    if not secret.is_for(host, port):
        raise CallFailed(
            "NotGranted",
            f"the secret {secret.name} is not for {host}:{port}; `understudy secret list` shows for which hosts it is "
            "(nothing was sent)",
        )
    if not safe:
        raise CallFailed(
            "NotGranted",
            f"the secret {secret.name} goes to {host} only by https: others could read it (nothing was sent)",
        )


def _no_secret(name: str, parts: Filled) -> CallFailed:
    host = next((value for header, value in parts.headers if header == "host"), "HOST")
    return CallFailed(
        "NoSecret", f"there is no secret {name}: understudy secret set {name} --to {host} (nothing was sent)"
    )


def _wanted(parts: Filled, markers: Mapping[str, str]) -> dict[str, str]:
    """The markers that stand in a request, with the names of their secrets."""
    texts = [parts.target, *(value for _, value in parts.headers), *(_basic(value) for _, value in parts.headers)]
    return {
        marker: name
        for marker, name in markers.items()
        if marker.encode() in parts.body or any(marker in text for text in texts)
    }


def _filled(parts: Filled, values: Mapping[str, str], kept: Mapping[str, str]) -> Filled:
    """The request with these values by their markers, each written as its place wants it."""
    kind = next((value for name, value in parts.headers if name == "content-type"), "").lower()
    target, body = parts.target, parts.body
    for marker, value in values.items():
        target = target.replace(marker, quote(value, safe=""))
        body = body.replace(marker.encode(), _as_in(kind, value).encode())
    return Filled(
        target=target,
        headers=[(name, _in_header(text, values)) for name, text in parts.headers],
        body=body,
        values=kept,
    )


def _as_in(kind: str, value: str) -> str:
    if kind.startswith(_FORM):
        return quote_plus(value)
    return _as_json(value) if _JSON.match(kind) else value


def _in_header(text: str, values: Mapping[str, str]) -> str:
    inside = _basic(text)
    for marker, value in values.items():
        text, inside = text.replace(marker, value), inside.replace(marker, value)
    if inside == _basic(text):
        return text
    return text[: len(_BASIC)] + base64.b64encode(inside.encode()).decode()


def _basic(text: str) -> str:
    """The name and password in the value of an `Authorization` header; empty for any other value."""
    if not text.lower().startswith(_BASIC):
        return ""
    try:
        return base64.b64decode(text[len(_BASIC) :], validate=True).decode()
    except ValueError:
        return ""


def _stands_in(data: bytes, form: bytes) -> bool:
    # Piece by piece: the interpreter does nothing else meanwhile, and 16 MiB at once take up to 50 ms for each form.
    return any(data.find(form, start, start + PIECE + len(form) - 1) >= 0 for start in range(0, len(data), PIECE))


def _shown(name: str) -> str:
    return f"[secret {name}]"


@lru_cache(maxsize=2 * MAX_SECRETS)
def _forms(value: str) -> Sequence[str]:
    """How a value may stand in a response, the longest first: as it is, escaped, or inside of a longer text in base64."""
    hexadecimal = value.encode().hex()
    found = {value, html.escape(value), hexadecimal, hexadecimal.upper(), quote_plus(value)}
    # The case of a header's name means nothing, and whatever lies on the way may change it.
    found |= {value.lower(), value.upper()}
    found |= {quote(value, safe=safe) for safe in _UNESCAPED}
    found |= {_lower_escapes(form) for form in found} | {quote(form, safe="") for form in found}
    found |= {_as_json(form) for form in found} | {_as_json(_as_json(form)) for form in found}
    for offset in range(3):
        # In base64 three bytes are four characters: it depends on what stands before it, and its ends on the neighbours.
        encoded = base64.b64encode(b"\0" * offset + value.encode()).decode().rstrip("=")
        whole = encoded[(0, 2, 3)[offset] :]
        inner = whole if (offset + len(value)) % 3 == 0 else whole[:-1]
        found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return sorted(found, key=len, reverse=True)


def _lower_escapes(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), text)


def _as_json(text: str) -> str:
    return json.dumps(text)[1:-1]
