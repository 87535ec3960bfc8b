"""Builds the examples' components from source: `python examples/wasm/build.py c wat python javascript`.

The counters in C, JavaScript and Python are the templates of `understudy new`, built as `understudy build` does. The
tools are installed below .build. What is made is `.build/components/NAME.wasm`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from understudy.cli.errors import CommandError
from understudy.cli.toolchains import build_component

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
TEMPLATES: Final = ROOT / "src/understudy/cli/templates"
TOOLS: Final = ROOT / ".build/tools"
COMPONENTS: Final = ROOT / ".build/components"
SOURCES: Final = {
    "c": TEMPLATES / "component-c/counter.c",
    "wat": HERE / "wat/counter.wat",
    "python": TEMPLATES / "component-python/counter.py",
    "javascript": TEMPLATES / "component-js/counter.js",
    "parrot": ROOT / "examples/chat/parrot.c",
    "clerk": ROOT / "examples/chat/clerk.js",
}


def build(name: str) -> Path:
    """Build one component. Raises CommandError, CalledProcessError where a tool fails."""
    target = COMPONENTS / f"{name}.wasm"
    COMPONENTS.mkdir(parents=True, exist_ok=True)
    if name == "wat":
        subprocess.run([sys.executable, HERE / "assemble.py", SOURCES[name], target], check=True)
    else:
        build_component(SOURCES[name], target, world="first-actor", tools=TOOLS, say=_say)
    return target


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def main() -> int:
    """Build the components that were named."""
    unknown = [name for name in sys.argv[1:] if name not in SOURCES]
    if unknown or not sys.argv[1:]:
        print(f"usage: python build.py NAME…; there are {', '.join(SOURCES)}", file=sys.stderr)
        return 2
    for name in sys.argv[1:]:
        try:
            target = build(name)
        except (OSError, CommandError, subprocess.CalledProcessError) as error:
            print(f"build.py: {name}: {error}", file=sys.stderr)
            return 1
        print(f"{name}  {target.stat().st_size:,} bytes  {target.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
