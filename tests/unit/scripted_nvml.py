"""NVML as a test has scripted it: a C library under the real name, for the real pynvml."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

UUID = "11111111-2222-3333-4444-555555555555"
_SOURCE = Path(__file__).with_name("scripted_nvml.c")
_SONAME = "libnvidia-ml.so.1"


@dataclass
class ScriptedNvml:
    """The state of a made-up GPU; `write` hands it to the library, which reads it at every call.

    Attributes:
        path: of the script.
        values: by key; see scripted_nvml.c.
    """

    path: Path
    values: dict[str, object] = field(default_factory=dict)

    def write(self, **changes: object) -> None:
        """Change some values; None takes one out. `processes_1` stands for `processes.1`."""
        for name, value in changes.items():
            key = name.replace("_", ".")
            self.values.pop(key, None) if value is None else self.values.update({key: value})
        lines = (f"{key} {value}\n" for key, value in self.values.items())
        self.path.write_text("".join(lines))


def build(folder: Path) -> Path:
    """Compile the library; skips where there is no C compiler."""
    compiler = next(
        (found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None
    )
    if compiler is None:
        pytest.skip("no C compiler")
    library = folder / _SONAME
    command = [compiler, "-shared", "-fPIC", "-Wall", "-Werror", f"-Wl,-soname,{_SONAME}"]
    subprocess.run([*command, "-o", library, _SOURCE], check=True)
    return library


def install(library: Path, script: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedNvml:
    """Make pynvml find it: a library that is loaded is found by its name."""
    import pynvml

    ctypes.CDLL(str(library))
    monkeypatch.setenv("SCRIPTED_NVML", str(script))
    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.setattr(
        "torch.cuda.get_device_properties", lambda number: SimpleNamespace(uuid=UUID)
    )
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    scripted = ScriptedNvml(script)
    scripted.write(
        gpu=f"GPU-{UUID}",
        driver="570.86.15",
        clock=1980,
        temperature=50,
        power=300_000,
        limit=700_000,
        reasons=0,
        violation_1=0,
        violation_3=0,
        violation_5=0,
    )
    return scripted
