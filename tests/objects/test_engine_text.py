"""Engine texts: their grammar, and what the digests in them are made of."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from tests.vectors import make
from understudy.engines.python.engine import ABI
from understudy.engines.wasm.settings import ENGINE_TEXT, PREIMAGE
from understudy.kernel.advance import KERNEL_ENGINE
from understudy.objects.engine_text import MAX_ENGINE_TEXT, EngineText, read_engine_text
from understudy.objects.errors import WrongKind

ENGINES = json.loads((Path(make.__file__).parent / "engines.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", [KERNEL_ENGINE, ABI, f"{ABI};source=none", ENGINE_TEXT, "x" * 253 + "/1"])
def test_what_our_engines_write_is_an_engine_text(text: str):
    found = read_engine_text(text)
    assert f"{found.name}/{found.abi}" + "".join(f";{key}={value}" for key, value in found.parts) == text


def test_an_engine_text_comes_apart():
    assert read_engine_text("new/12;a=1;b-c=x.Y_z") == EngineText("new", 12, (("a", "1"), ("b-c", "x.Y_z")))


def test_a_text_of_more_bytes_than_the_bound_is_none():
    with pytest.raises(WrongKind):
        read_engine_text("x" * (MAX_ENGINE_TEXT - 1) + "/1")


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine["text"])
def test_the_digest_of_a_configuration_is_that_of_its_preimage(engine: dict[str, str]):
    [(key, value)] = read_engine_text(engine["text"]).parts
    assert key == "config"
    assert value == sha256(engine["preimage"].encode()).hexdigest()[:16]
    settings = json.loads(engine["preimage"])
    assert json.dumps(settings, sort_keys=True, separators=(",", ":")) == engine["preimage"]


def test_the_configuration_of_this_version_is_among_the_vectors():
    """Where this is red, the settings changed: add the new text and its preimage to engines.json, and keep the old ones."""
    assert {"text": ENGINE_TEXT, "preimage": PREIMAGE.decode()} in ENGINES
