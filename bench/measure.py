"""CPU time of a process, and the unit that it is told in."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return user and system time that a process has used, in seconds."""
    schedstat = Path(f"/proc/{pid}/task")
    total = 0
    for task in schedstat.iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / 1e9


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has no VmRSS")


def signature_seconds(count: int = 2000) -> float:
    """Return the CPU time of one RSA-2048 signature (PKCS #1 v1.5, SHA-256) on this machine now."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    data = b"x" * 600

    def sign() -> None:
        key.sign(data, padding.PKCS1v15(), SHA256())

    return cpu_of(sign, count)


def cpu_of(work: Callable[[], object], count: int) -> float:
    """Return the CPU seconds of this process per call."""
    work()
    started = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - started) / count
