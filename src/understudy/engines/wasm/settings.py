"""How components are compiled and run: everything that can change a result, in one place, and its digest.

The law: what changes a result or a fuel count changes the engine text, so that no replay is compared across it. Nothing of
wasmtime is loaded for it: who reads engine texts may never run a component.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec

from understudy.engines.wasm.limits import DEFAULT

NAME: Final = "wasm"
ABI: Final = "wasm/1"  # raised when a result or a fuel count of the corpus in tests/vectors/wasm.json changes
MAX_INSTANCES: Final = 100  # core instances, tables: what a component of many modules needs
MAX_MEMORIES: Final = 8  # each may grow to the limit of the core
MAX_TABLE_ELEMENTS: Final = 1_000_000

# Every one is said, also where it is wasmtime's default: a release that changes a default must not change results.
# tests/engines/test_wasm_settings.py is red where wasmtime has a switch that is not here.
SWITCHES: Final = {
    "concurrency_support": True,  # the component model's async needs it
    "consume_fuel": True,
    "cranelift_nan_canonicalization": True,
    "epoch_interruption": False,
    "gc_support": False,
    "shared_memory": False,
    "wasm_branch_hinting": False,
    "wasm_bulk_memory": True,
    "wasm_compact_imports": False,
    "wasm_component_model": True,
    "wasm_component_model_accessors": False,
    # Toolchains name its functions, such as task.cancel, also in components that have nothing asynchronous to them.
    "wasm_component_model_async": True,
    "wasm_component_model_async_stackful": False,
    "wasm_component_model_canonical_names": False,
    "wasm_component_model_implements": False,
    "wasm_component_model_map": False,
    "wasm_component_model_more_async_builtins": False,
    "wasm_custom_page_sizes": False,
    "wasm_exceptions": False,
    "wasm_function_references": False,
    "wasm_gc": False,
    "wasm_memory64": False,
    "wasm_multi_memory": True,
    "wasm_multi_value": True,
    "wasm_reference_types": True,
    "wasm_relaxed_simd": True,
    "wasm_relaxed_simd_deterministic": True,
    "wasm_simd": True,
    "wasm_stack_switching": False,
    "wasm_tail_call": True,
    "wasm_threads": False,
    "wasm_wide_arithmetic": False,
}
STACK_BYTES: Final = 1024 * 1024  # an eighth of what a thread has; scripting languages recurse deeply


# What the digest in the engine text is made of: JSON, keys sorted, no spaces. docs/FORMAT.md section 10 promises that form,
# and tests/vectors/engines.json keeps every one that there was.
PREIMAGE: Final = msgspec.json.encode(
    {
        **SWITCHES,
        "max_wasm_stack": STACK_BYTES,
        "limits": msgspec.to_builtins(DEFAULT),
        "stores": [MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS],
    },
    order="sorted",
)
CONFIG: Final = sha256(PREIMAGE).hexdigest()[:16]
ENGINE_TEXT: Final = f"{ABI};config={CONFIG}"
# The texts of all configurations that there were: what components come to under one of them, they come to under the
# present one, as far as that one was able to run them. A step with another text was made by something else.
KNOWN_TEXTS: Final = frozenset({ENGINE_TEXT, f"{ABI};config=735c3e3b150f1f98"})
