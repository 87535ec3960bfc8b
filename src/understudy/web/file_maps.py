"""Files in JSON, as a core or a patch brings them: `{path: "text" or {"base64": "…"} or null}`.

The law: no body blocks other requests, whatever its size. A large one is parsed on a thread by Python's own scanner,
so that other threads run in between, and it is refused as soon as it has more values than a core may have files.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from json.decoder import JSONObject  # type: ignore[attr-defined]
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any, Final

from understudy.node.errors import BadRequest, Rejected, TooLarge
from understudy.node.intake.cores import MAX_FILES
from understudy.web.body import QUICK_BYTES, STRICT, parse_json, read_file, read_object

MAX_VALUES: Final = 2 * MAX_FILES + 16  # a file in base64 is two; some fields stand beside them

FileMap = dict[str, bytes | None]


async def read_files(data: bytes, field: str, more: Mapping[str, type] | None = None) -> tuple[dict[str, Any], FileMap]:
    """The JSON object of a body, and the files in one of its fields; `more` are fields that it may have besides.

    Raises BadRequest for what is no JSON, Rejected that names the place, TooLarge for too many files.
    """
    if len(data) <= QUICK_BYTES:
        return _read(parse_json(data), field, more or {})
    return await asyncio.to_thread(lambda: _read(_parse_beside(data), field, more or {}))


def _read(parsed: Any, field: str, more: Mapping[str, type]) -> tuple[dict[str, Any], FileMap]:
    value = read_object(parsed, {field: dict, **more}, required=field)
    if len(value[field]) > MAX_FILES:
        raise TooLarge(f"{len(value[field]):,} files: at most {MAX_FILES:,} at once; the rest can follow as updates")
    files = {
        path: None if file is None and field == "patch" else read_file(file, f"{field}[{path!r}]")
        for path, file in value[field].items()
    }
    return value, files


def _parse_beside(data: bytes) -> Any:
    """What `parse_json` answers, by Python's own scanner: the one in C would hold all threads until it is through."""
    try:
        return _Scanner().decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error or 'nested too deep'}") from error


class _Scanner(json.JSONDecoder):
    def __init__(self) -> None:
        super().__init__(**STRICT)
        self._values = 0
        self.parse_array = _no_list
        self.parse_object = self._parse_object
        self.scan_once = py_make_scanner(self)

    def _parse_object(self, place: Any, strict: bool, scan_once: Callable[..., Any], *rest: Any) -> Any:
        def counting(text: str, at: int) -> Any:
            self._values += 1
            if self._values > MAX_VALUES:
                raise TooLarge(f"more than {MAX_VALUES:,} values: at most {MAX_FILES:,} files come at once")
            return scan_once(text, at)

        return JSONObject(place, strict, counting, *rest)


def _no_list(*_: Any) -> Any:
    raise Rejected("there is a list, and a core or a patch has none")
