"""WASI for a component in the sandbox: time and random numbers are those of the step, printed text is logged, and there is
nothing else.

The law: nothing of the machine can be reached. Functions that are not below can be imported and linked; calling one ends
the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from zlib import crc32

from understudy.engines.wasm.failure import Stopped
from understudy.engines.wasm.host import Host
from understudy.engines.wasm.shapes import OK, Case, Own

MAX_RANDOM: Final = 1024 * 1024  # bytes at a time
_RANDOM_FUEL: Final = 100  # for a byte
_ROOM: Final = 64 * 1024  # how much a stream takes at a time
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_CLOSED: Final = Case("err", Case("closed"))
_SAME: Final = {"io-error": "error"}  # resources that an interface uses under another name


def resource_type(name: str) -> int:
    """The number that stands for a resource type; equal names are one type in all interfaces of WASI."""
    return crc32(_SAME.get(name, name).encode())


def find(instance: str, name: str) -> Callable[..., Any] | None:
    """The function that stands in for one of WASI, of any version of its interface; it is given the host first."""
    return _FUNCTIONS.get(f"{instance.partition('@')[0].removeprefix('wasi:')} {name}")


def refuse(instance: str, name: str) -> Callable[..., Any]:
    """A function that stands in for one of WASI that actors do not have; calling it ends the step."""

    def refused(*_: object) -> None:
        raise Stopped("ImportRefused", f"the component called {instance} {name}, which is not there for actors")

    return refused


def _nothing(host: Host, *_: object) -> list[Any]:
    return []


def _none(host: Host, *_: object) -> None:
    return None


def _exit(host: Host, status: Case) -> None:
    raise Stopped("Exit", "the component called exit" + ("" if status.name == "ok" else " with an error"))


def _exit_with_code(host: Host, code: int) -> None:
    raise Stopped("Exit", f"the component called exit with the code {code}")


def _stream(kind: str, number: int) -> Callable[[Host], Own]:
    own = Own(resource_type(kind), number)
    return lambda host: own


def _check_write(host: Host, stream: int) -> Case:
    return Case("ok", _ROOM)


def _write(host: Host, stream: int, data: bytes) -> Case:
    host.charge(len(data))
    host.print(stream, data)
    return OK


def _write_zeroes(host: Host, stream: int, count: int) -> Case:
    _write(host, stream, bytes(min(count, _ROOM)))
    return OK


def _flush(host: Host, stream: int) -> Case:
    return OK


def _read(host: Host, stream: int, count: int) -> Case:
    return _CLOSED


def _ready(host: Host, pollable: int) -> bool:
    return True


def _poll(host: Host, pollables: list[int]) -> list[int]:
    return list(range(len(pollables)))


def _wall_clock(host: Host) -> tuple[int, int]:
    return divmod(host.time_ns, 1_000_000_000)


def _resolution(host: Host) -> tuple[int, int]:
    return 0, 1000


def _random_bytes(host: Host, count: int) -> bytes:
    if count > MAX_RANDOM:
        raise Stopped("TooMuchRandom", f"{count:,} random bytes at once: at most {MAX_RANDOM:,}")
    host.charge(count * _RANDOM_FUEL)
    return host.random(count)


def _random_u64(host: Host) -> int:
    return int.from_bytes(host.random(8), "little")


_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "cli/environment get-environment": _nothing,
    "cli/environment get-arguments": _nothing,
    "cli/environment initial-cwd": _none,
    "cli/exit exit": _exit,
    "cli/exit exit-with-code": _exit_with_code,
    "cli/stdin get-stdin": _stream("input-stream", _STDIN),
    "cli/stdout get-stdout": _stream("output-stream", _STDOUT),
    "cli/stderr get-stderr": _stream("output-stream", _STDERR),
    "cli/terminal-stdin get-terminal-stdin": _none,
    "cli/terminal-stdout get-terminal-stdout": _none,
    "cli/terminal-stderr get-terminal-stderr": _none,
    "clocks/monotonic-clock now": lambda host: host.time_ns,
    "clocks/monotonic-clock resolution": lambda host: 1000,
    "clocks/wall-clock now": _wall_clock,
    "clocks/wall-clock resolution": _resolution,
    "filesystem/preopens get-directories": _nothing,
    "io/error [method]error.to-debug-string": lambda host, error: "closed",
    "io/poll [method]pollable.block": _none,
    "io/poll [method]pollable.ready": _ready,
    "io/poll poll": _poll,
    "io/streams [method]input-stream.blocking-read": _read,
    "io/streams [method]input-stream.blocking-skip": _read,
    "io/streams [method]input-stream.read": _read,
    "io/streams [method]input-stream.skip": _read,
    "io/streams [method]input-stream.subscribe": lambda host, stream: Own(resource_type("pollable"), stream),
    "io/streams [method]output-stream.blocking-flush": _flush,
    "io/streams [method]output-stream.blocking-write-and-flush": _write,
    "io/streams [method]output-stream.blocking-write-zeroes-and-flush": _write_zeroes,
    "io/streams [method]output-stream.check-write": _check_write,
    "io/streams [method]output-stream.flush": _flush,
    "io/streams [method]output-stream.subscribe": lambda host, stream: Own(resource_type("pollable"), stream),
    "io/streams [method]output-stream.write": _write,
    "io/streams [method]output-stream.write-zeroes": _write_zeroes,
    "random/insecure get-insecure-random-bytes": _random_bytes,
    "random/insecure get-insecure-random-u64": _random_u64,
    "random/insecure-seed insecure-seed": lambda host: (_random_u64(host), _random_u64(host)),
    "random/random get-random-bytes": _random_bytes,
    "random/random get-random-u64": _random_u64,
}
