"""What tells one configuration of a pipeline from another beside its weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from perfsuite.checkpoints.folder import FolderSource
from perfsuite.checkpoints.registry import Source
from perfsuite.errors import CheckpointError

_OF_NO_EFFECT = frozenset({"_name_or_path", "_diffusers_version", "transformers_version"})
"""Keys that saving a model again changes, and that nothing reads when it is loaded."""


def configuration_of(source: Source) -> dict[str, str] | None:
    """Class and digest of every component's configuration; None where a source has no files.

    Raises:
        CheckpointError: a configuration cannot be read.
    """
    return _of_folder(source.folder) if isinstance(source, FolderSource) else None


def _of_folder(folder: Path) -> dict[str, str]:
    files = [
        folder / "model_index.json",
        *folder.glob("*/config.json"),
        *folder.glob("*/*_config.json"),
    ]
    return {_component(path): _described(path) for path in sorted(files) if path.is_file()}


def _component(path: Path) -> str:
    return "pipeline" if path.name == "model_index.json" else path.parent.name


def _described(path: Path) -> str:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error})", hint="mend it, or save the checkpoint again"
        ) from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is no configuration", hint="save the checkpoint again")
    kept = {key: value for key, value in content.items() if key not in _OF_NO_EFFECT}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]
    kind = content.get("_class_name") or (content.get("architectures") or [""])[0]
    return f"{kind} {digest}".strip()
