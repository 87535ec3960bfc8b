"""Builds the examples' components from source: `python examples/wasm/build.py c wat python javascript`.

What it needs it installs below .build, from PyPI and npm, in the versions that stand beside the sources.
What it makes is `.build/components/LANGUAGE.wasm`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
INTERFACE: Final = ROOT / "src/understudy/engines/wasm/interface"
BUILD: Final = ROOT / ".build"
COMPONENTS: Final = BUILD / "components"
WORLD: Final = "first-actor"
# Small, without a main function, and with a stack that does not fill hundreds of pages of memory.
C_FLAGS: Final = [
    "-target", "wasm32-freestanding", "-std=c17", "-Wall", "-Wextra", "-Werror", "-Oz", "-nostdlib",
    "-Wl,--no-entry", "-Wl,-z,stack-size=8192", "-s",
]  # fmt: skip


def build_c(source: Path, target: Path) -> None:
    """A core module by zig's C compiler, wrapped."""
    core = target.with_suffix(".core.wasm")
    python = _python_with(HERE / "c/requirements.txt")
    _run(python, "-m", "ziglang", "cc", *C_FLAGS, "-I", HERE / "c", "-o", core, source)
    _run(sys.executable, HERE / "wrap.py", core, target)


def build_wat(source: Path, target: Path) -> None:
    """The text, assembled by wasmtime."""
    _run(sys.executable, HERE / "assemble.py", source, target)


def build_python(source: Path, target: Path) -> None:
    """CPython and the module in one component, by componentize-py."""
    python = _python_with(HERE / "python/requirements.txt")
    tool = python.with_name("componentize-py")
    _run(tool, "-d", INTERFACE, "-w", WORLD, "componentize", "-p", source.parent, source.stem, "-o", target)


def build_javascript(source: Path, target: Path) -> None:
    """SpiderMonkey and the module in one component, by componentize-js."""
    folder = BUILD / "tools/javascript"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "build.js"):
        shutil.copy(HERE / "javascript" / name, folder)
    wanted = (folder / "package.json").read_text(encoding="utf-8")
    if _is_new(folder / ".installed", wanted):
        _run("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder)
        (folder / ".installed").write_text(wanted, encoding="utf-8")
    _run("node", folder / "build.js", source, INTERFACE, target)


BUILDERS: Final[Mapping[str, tuple[str, Callable[[Path, Path], None]]]] = {
    "c": ("c/counter.c", build_c),
    "wat": ("wat/counter.wat", build_wat),
    "python": ("python/counter.py", build_python),
    "javascript": ("javascript/counter.js", build_javascript),
    "parrot": ("../chat/parrot.c", build_c),
    "clerk": ("../chat/clerk.js", build_javascript),
}


def build(name: str) -> Path:
    """Build one component. Raises CalledProcessError where a tool fails."""
    source, builder = BUILDERS[name]
    target = COMPONENTS / f"{name}.wasm"
    COMPONENTS.mkdir(parents=True, exist_ok=True)
    # Built beside and renamed into place: a build that fails leaves nothing that looks built.
    fresh = target.with_suffix(".new.wasm")
    builder((HERE / source).resolve(), fresh)
    fresh.replace(target)
    return target


def _python_with(requirements: Path) -> Path:
    """The Python of an environment below .build that has these packages."""
    folder = BUILD / "tools" / requirements.parent.name
    python = folder / "bin/python"
    wanted = requirements.read_text(encoding="utf-8")
    if _is_new(folder / ".installed", wanted):
        venv.create(folder, symlinks=os.name != "nt")
        _run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "-r", requirements)
        (folder / ".installed").write_text(wanted, encoding="utf-8")
    return python


def _is_new(stamp: Path, wanted: str) -> bool:
    return not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def main() -> int:
    """Build the components that were named."""
    unknown = [name for name in sys.argv[1:] if name not in BUILDERS]
    if unknown or not sys.argv[1:]:
        print(f"usage: python build.py NAME…; there are {', '.join(BUILDERS)}", file=sys.stderr)
        return 2
    for name in sys.argv[1:]:
        try:
            target = build(name)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"build.py: {name}: {error}", file=sys.stderr)
            return 1
        print(f"{name}  {target.stat().st_size:,} bytes  {target.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
