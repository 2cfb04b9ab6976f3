"""GPUs that code can be compiled for, as their drivers would describe them.

Figures of compute capabilities are those of NVIDIA's CUDA C++ Programming Guide (table 'Technical
specifications per compute capability'), those of cards of their data sheets.
"""

from __future__ import annotations

from dataclasses import dataclass

from perfsuite.errors import SettingsError


@dataclass(frozen=True)
class Card:
    """One GPU for each architecture.

    Attributes:
        name: as its driver says it.
        major: of its compute capability.
        minor: of its compute capability.
        multi_processor_count: streaming multiprocessors.
        total_memory: bytes.
        shared_memory_per_block_optin: bytes, the most that one block may have.
        shared_memory_per_multiprocessor: bytes.
        max_threads_per_multi_processor: resident threads.
        L2_cache_size: bytes.
    """

    name: str
    major: int
    minor: int
    multi_processor_count: int
    total_memory: int
    shared_memory_per_block_optin: int
    shared_memory_per_multiprocessor: int
    max_threads_per_multi_processor: int
    L2_cache_size: int
    regs_per_multiprocessor: int = 65536
    max_threads_per_block: int = 1024
    warp_size: int = 32
    shared_memory_per_block: int = 49152
    gcnArchName: str = ""  # noqa: N815 (torch's name)
    is_integrated: int = 0
    is_multi_gpu_board: int = 0
    uuid: str = "0"

    @property
    def capability(self) -> tuple[int, int]:
        """Compute capability."""
        return self.major, self.minor


CARDS = {
    "sm_80": Card("NVIDIA A100-SXM4-80GB", 8, 0, 108, 80 << 30, 166912, 167936, 2048, 40 << 20),
    "sm_86": Card("NVIDIA A10", 8, 6, 72, 24 << 30, 101376, 102400, 1536, 6 << 20),
    "sm_89": Card("NVIDIA GeForce RTX 4090", 8, 9, 128, 24 << 30, 101376, 102400, 1536, 72 << 20),
    "sm_90": Card("NVIDIA H100 80GB HBM3", 9, 0, 132, 80 << 30, 232448, 233472, 2048, 50 << 20),
}


def find_cards(text: str) -> tuple[str, ...]:
    """Names of architectures, separated by commas, each once.

    Raises:
        SettingsError: one is not known.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = next((name for name in names if name not in CARDS), None)
    if unknown is not None or not names:
        problem = f"--arch cannot be '{text if unknown is None else unknown}'"
        raise SettingsError(problem, hint=f"it takes {','.join(CARDS)}")
    return names
