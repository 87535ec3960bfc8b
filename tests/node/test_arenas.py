from __future__ import annotations

import subprocess
import sys

import pytest

COUNT = """
import ctypes, re, sys, threading
from pathlib import Path
from understudy.node.running.arenas import bound_arenas
if sys.argv[1] == "bounded":
    bound_arenas()
libc, gate = ctypes.CDLL(None), threading.Barrier(9)
libc.malloc.restype = ctypes.c_void_p
def work():
    libc.malloc(100_000)
    gate.wait(20)
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
maps = Path("/proc/self/maps")
gate.wait(20)
for thread in threads: thread.join()
pools = re.findall(r"^[0-9a-f]+[048c]000000-[0-9a-f]+ rw-p 00000000 00:00 0 *$", maps.read_text(), re.MULTILINE)
print(len(pools))
"""


def pools(how: str) -> int:
    ran = subprocess.run([sys.executable, "-c", COUNT, how], capture_output=True, text=True, timeout=60, check=True)
    return int(ran.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pools are counted in /proc")
def test_many_threads_share_few_pools_of_memory_once_they_are_bounded():
    free = pools("free")
    if free < 4:
        pytest.skip("this C library gives threads no pools of their own")
    assert pools("bounded") <= 2
