"""The routes of a node as calls. They are the same over a socket and inside this process."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from understudy.cli.errors import CommandError

UPDATE_SECONDS: Final = 60  # how long to wait for an update; the default of the node
_MARGIN_SECONDS: Final = 30.0  # how much longer than the node its client waits


class Answered(Struct, frozen=True):
    """What became of a message: `ok`, and the body of the answer. `step` is absent or null while there is no step."""

    ok: bool
    body: dict[str, Any]


class Client:
    """Talks to one node."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def actor(self, actor: str) -> dict[str, Any] | None:
        """An actor, None if there is none."""
        answer = await self._ask("GET", f"/actors/{quote(actor, safe='')}")
        return None if answer.status_code == 404 else _good(answer)

    async def create(self, name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
        """An actor with this name and core."""
        body = msgspec.json.encode({"name": name, "core": {path: _file(data) for path, data in files.items()}})
        return _good(await self._ask("POST", "/actors", content=body, headers={"Content-Type": "application/json"}))

    async def patch(self, actor: str, patch: Mapping[str, bytes | None], *, after: str) -> Answered:
        """Update the core of an actor. The same patch `after` the same is one update, however often it is sent."""
        body = {"patch": {path: None if data is None else _file(data) for path, data in patch.items()}}
        data = msgspec.json.encode(body)
        key = f"push {after} {sha256(data).hexdigest()}"
        return await self._send(actor, data, {"Message-Lane": "update", "Idempotency-Key": key}, UPDATE_SECONDS)

    async def has_file(self, actor: str, path: str) -> bool:
        """True if the core of an actor holds a file at its newest durable step."""
        return (await self._ask("GET", f"/actors/{quote(actor, safe='')}/core/{quote(path)}")).is_success

    async def pending(self, actor: str) -> list[dict[str, Any]]:
        """The messages that wait for an actor, and the one that runs."""
        found = _good(await self._ask("GET", f"/actors/{quote(actor, safe='')}/pending")).get("pending")
        return found if isinstance(found, list) else []

    async def types(self, actor: str) -> list[str]:
        """The types of messages that an actor says it takes; none if it does not say."""
        answer = await self._ask("GET", f"/actors/{quote(actor, safe='')}/wut")
        messages = _body(answer).get("messages") if answer.is_success else None
        return sorted(messages) if isinstance(messages, dict) else []

    async def operate(self, actor: str, what: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """Pause or resume an actor; how it is then."""
        path = f"/actors/{quote(actor, safe='')}/{what}"
        return _good(await self._ask("POST", path, content=b"" if body is None else msgspec.json.encode(body)))

    async def retry(self, step: str) -> Answered:
        """Have the messages of a step that failed run again."""
        timeout = UPDATE_SECONDS + _MARGIN_SECONDS
        headers = {"Prefer": f"wait={UPDATE_SECONDS}"}
        return _answered(await self._ask("POST", f"/steps/{step}/retry", headers=headers, timeout=timeout))

    async def send(
        self, actor: str, content: bytes, *, type: str, lane: str, key: str | None, wait_seconds: int
    ) -> Answered:
        """Send a message and wait for its answer."""
        headers: dict[str, str | bytes] = {
            "Message-Type": type.encode(),
            "Message-Lane": lane,
            "Prefer": f"wait={wait_seconds}",
        }
        if key is not None:
            headers["Idempotency-Key"] = key.encode()
        return await self._send(actor, content, headers, wait_seconds)

    async def _send(
        self, actor: str, content: bytes, headers: Mapping[str, str | bytes], wait_seconds: int
    ) -> Answered:
        path = f"/actors/{quote(actor, safe='')}/messages"
        timeout = wait_seconds + _MARGIN_SECONDS
        answer = await self._ask("POST", path, content=content, headers=headers, timeout=timeout)
        return _answered(answer)

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return await self._http.request(method, path, **more)
        except httpx.TimeoutException as error:
            raise CommandError("the node does not answer; `understudy pending` shows what waits") from error
        except httpx.TransportError as error:
            raise CommandError(
                f"the connection to the node broke during the request ({error}); nothing acknowledged is lost"
            ) from error


def _answered(answer: httpx.Response) -> Answered:
    if answer.status_code in (422, 500) and "step" in _body(answer):
        return Answered(False, _body(answer))
    return Answered(True, _good(answer))


def _file(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _good(answer: httpx.Response) -> dict[str, Any]:
    body = _body(answer)
    if answer.is_success:
        return body
    title, detail = body.get("title", answer.reason_phrase), body.get("detail", answer.text)
    raise CommandError(f"{title}: {detail}", code=body.get("code"))


def _body(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
