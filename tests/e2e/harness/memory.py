"""Does the daemon's memory stay bounded? Read from /proc.

Under AddressSanitizer the answer is about its quarantine and not about the daemon: then it is not asked.
"""
import contextlib
import re
from pathlib import Path

from .posthouse import PROGRAM

SANITIZED = b"__asan_init" in PROGRAM.read_bytes() if PROGRAM.exists() else False


def resident(node):
    """MiB of all processes of a Posthouse."""
    total = 0
    for pid in [node.process.pid, *node.family()]:
        status = Path(f"/proc/{pid}/status").read_text()
        total += int(re.search(r"VmRSS:\s+(\d+)", status).group(1))
    return total / 1024


@contextlib.contextmanager
def bounded(node, allowance):
    """Memory grows by less than that many MiB, and no process of the daemon is replaced."""
    family = set(node.family())
    before = resident(node)
    yield
    grown = resident(node) - before
    assert set(node.family()) == family, "a process died"
    assert SANITIZED or grown < allowance, f"{grown:.1f} MiB more"
