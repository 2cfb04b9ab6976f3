"""Tests on an emulated accelerator, in a process of their own: see tests/unit/test_emulated.py."""

from __future__ import annotations

import os

IN_OWN_PROCESS = "PERFSUITE_EMULATED"

if os.environ.get(IN_OWN_PROCESS):
    from dataclasses import replace

    from perfsuite.measure import probe
    from tests.emulated import accelerator

    accelerator.install()
    # SDXL's own sizes are for a real device; what a test sees of the probe is its size.
    probe._ACCELERATOR_SHAPE = replace(probe._CPU_SHAPE, version=3, passes=1)
else:
    collect_ignore_glob = ["test_*.py"]
