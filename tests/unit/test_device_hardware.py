"""The key of a card, from what real ones tell: stable against drivers, different between cards."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from perfsuite.device import hardware as room
from perfsuite.device.hardware import accelerator_hardware, nominal_gib
from perfsuite.results.machine import Hardware

MIB, GIB = 2**20, 2**30
# Name, bytes that drivers tell of (several, where they differ), and what is sold.
CARDS = [
    ("NVIDIA A100-SXM4-40GB", (39.38 * GIB, 39.59 * GIB, 40960 * MIB), 40),
    ("NVIDIA A100-SXM4-80GB", (79.15 * GIB, 79.25 * GIB, 79.33 * GIB), 80),
    ("NVIDIA A100 80GB PCIe", (79.14 * GIB, 79.25 * GIB), 80),
    ("NVIDIA H100 80GB HBM3", (79.10 * GIB, 79.65 * GIB), 80),
    ("NVIDIA H100 NVL", (93.00 * GIB, 93.58 * GIB), 94),
    ("NVIDIA H200", (139.72 * GIB, 140.40 * GIB), 141),
    ("NVIDIA L4", (21.95 * GIB, 22.05 * GIB, 22.49 * GIB), 24),
    ("NVIDIA L40S", (44.31 * GIB, 44.53 * GIB), 48),
    ("Tesla T4", (14.56 * GIB, 14.75 * GIB, 15.75 * GIB), 16),
    ("NVIDIA A10G", (21.98 * GIB, 22.30 * GIB), 24),
    ("NVIDIA GeForce RTX 3060", (11.63 * GIB, 11.76 * GIB), 12),
    ("NVIDIA GeForce RTX 3090", (23.57 * GIB, 23.69 * GIB), 24),
    ("NVIDIA GeForce RTX 4090", (23.51 * GIB, 23.65 * GIB), 24),
    ("NVIDIA GeForce RTX 5090", (31.36 * GIB, 31.84 * GIB), 32),
    ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", (4.75 * GIB, 4.86 * GIB), 5),
    ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", (39.25 * GIB, 39.50 * GIB), 40),
    ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", (9.50 * GIB, 9.75 * GIB), 10),
    ("AMD Instinct MI300X", (191.45 * GIB, 191.98 * GIB), 192),
    ("AMD Instinct MI250X", (63.98 * GIB,), 64),
    ("Intel(R) Arc(TM) A770 Graphics", (15.11 * GIB, 15.91 * GIB), 16),
    ("Intel(R) Data Center GPU Max 1550", (64.0 * GIB,), 64),
]


@pytest.mark.parametrize(("name", "told", "sold"), CARDS, ids=lambda value: str(value)[:40])
def test_memory_is_what_the_card_is_sold_with(
    name: str, told: tuple[float, ...], sold: int
) -> None:
    assert {nominal_gib(name, int(each)) for each in told} == {sold}


def card(monkeypatch: pytest.MonkeyPatch, kind: str = "cuda", **properties: object) -> Hardware:
    monkeypatch.setattr(room, "device_properties", lambda _: SimpleNamespace(**properties))
    monkeypatch.setattr(room, "_power_limit_w", lambda _: 300 if kind == "cuda" else None)
    return accelerator_hardware(kind, None)


def test_the_keys_of_real_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    a100 = card(
        monkeypatch, name="NVIDIA A100-SXM4-40GB", total_memory=int(39.38 * GIB), major=8, minor=0
    )
    assert a100.key == "cuda-nvidia-a100-sxm4-40gb-40gib-300w-sm80"
    assert a100.images_key == "cuda-nvidia-a100-sxm4-40gb-40gib-sm80"
    rocm = card(
        monkeypatch,
        name="AMD Instinct MI300X",
        total_memory=int(191.98 * GIB),
        major=9,
        minor=4,
        gcnArchName="gfx942:sramecc+:xnack-",
    )
    assert rocm.key == "cuda-amd-instinct-mi300x-192gib-300w-gfx942"


def test_xpus_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {
        card(monkeypatch, "xpu", name=name, total_memory=int(told[0])).key
        for name, told, _ in CARDS
        if name.startswith("Intel")
    }
    assert keys == {
        "xpu-intel-r-arc-tm-a770-graphics-16gib",
        "xpu-intel-r-data-center-gpu-max-1550-64gib",
    }


def test_every_card_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {card(monkeypatch, name=name, total_memory=int(told[0])).key for name, told, _ in CARDS}
    assert len(keys) == len(CARDS)


def test_a_device_of_which_torch_tells_nothing_is_named_by_its_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert accelerator_hardware("quantum", "rack") == Hardware("quantum", "quantum", label="rack")
    monkeypatch.setattr(room, "chip_name", lambda: "Apple M3 Max")
    assert accelerator_hardware("mps", None).key == "mps-apple-m3-max"


def test_a_device_that_is_not_there_has_no_properties() -> None:
    if not torch.cuda.is_available():
        assert room.device_properties("cuda") is None
