"""Assembles a component that is written as text: `python assemble.py counter.wat counter.wasm`."""

from __future__ import annotations

import sys
from pathlib import Path

from wasmtime import WasmtimeError, wat2wasm


def main() -> int:
    """Assemble the file of the first argument into that of the second."""
    if len(sys.argv) != 3:
        print("usage: python assemble.py COMPONENT.wat COMPONENT.wasm", file=sys.stderr)
        return 2
    try:
        Path(sys.argv[2]).write_bytes(wat2wasm(Path(sys.argv[1]).read_text(encoding="utf-8")))
    except (OSError, WasmtimeError) as error:
        print(f"assemble.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
