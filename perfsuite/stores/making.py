"""References in the making: their files in memory, looked at before any of them is stored."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from safetensors.numpy import save as save_tensors

from perfsuite.errors import ReferenceImageError
from perfsuite.images.generate import GeneratedImage
from perfsuite.images.metrics import Latents, Pixels, psnr_db, visible_faults
from perfsuite.images.references import encode_png, exactness_shots
from perfsuite.workload import NOTHING_ASKED, Asked, Shot, Workload

LATENTS = "latents.safetensors"
PIXELS = "pixels.safetensors"
AGREEMENT_DB = 80.0
"""PSNR that two makings of one image in one process reach at least, in float32 pixels: nothing but
the order of sums may differ between them, and not even that where the library is deterministic."""


@dataclass
class Making:
    """References in the making: nothing is written before all of them are sound.

    Attributes:
        workload: that they are made for.
        checkpoint: names the checkpoint.
        asked: names checkpoint and workload to the command that makes them.
        files: contents by file name.
    """

    workload: Workload
    checkpoint: str
    asked: Asked = NOTHING_ASKED
    files: dict[str, bytes] = field(default_factory=dict)
    _latents: dict[str, Latents] = field(default_factory=dict)
    _pixels: dict[str, Pixels] = field(default_factory=dict)

    def add(self, image: GeneratedImage) -> None:
        """Look at an image and keep it.

        Raises:
            ReferenceImageError: it is not finite, black, flat, saturated or of another size.
        """
        self._check(image)
        index = image.shot.index
        self.files[f"{index:02d}.png"] = encode_png(image.pixels)
        # safetensors writes an array's memory as it lies, whatever its strides say.
        self._latents[str(index)] = np.ascontiguousarray(image.latents)
        if image.shot in exactness_shots(self.workload):
            self._pixels[str(index)] = np.ascontiguousarray(image.pixels)

    def compare(self, again: GeneratedImage) -> None:
        """See that an image that was made a second time is what it was the first time.

        Raises:
            ReferenceImageError: it is another one.
        """
        self._check(again)
        found = psnr_db(again.pixels, self._pixels[str(again.shot.index)])
        if not found >= AGREEMENT_DB:
            self._refuse(again.shot, f"comes out differently when made twice ({found:.1f} dB)")

    def finish(self) -> None:
        """Add the tensors, once all images are there.

        Raises:
            ReferenceImageError: there is not one image for each shot.
        """
        shots = tuple(self.workload.shots())
        if len(self._latents) != len(shots):
            raise ReferenceImageError(
                f"{len(self._latents)} images were made for {len(shots)} references",
                hint=self.asked.command("record-references"),
            )
        self.files[LATENTS] = save_tensors(self._latents)
        self.files[PIXELS] = save_tensors(self._pixels)

    def _check(self, image: GeneratedImage) -> None:
        height, width = self.workload.height, self.workload.width
        faults = visible_faults(image.pixels, image.latents, height=height, width=width)
        if not faults and not image.finite:
            faults = ("another image of the batch is NaN or infinite",)
        if faults:
            self._refuse(image.shot, "is no reference: " + ", ".join(faults))

    def _refuse(self, shot: Shot, why: str) -> None:
        raise ReferenceImageError(
            f"fp32's image of '{shot.prompt}', seed {shot.seed}, {why}",
            hint=f"fix the weights of '{self.checkpoint}' or the libraries; nothing was recorded",
        )
