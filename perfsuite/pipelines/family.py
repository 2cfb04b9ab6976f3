"""The protocol of a pipeline family, and the table of families by the pipeline's class name.

Everything else in perfsuite reaches a pipeline's parts through its family, so that a new kind of
pipeline is one class, from a `conftest.py` too. Importing this module imports no torch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from perfsuite.errors import LadderError, NotAvailable
from perfsuite.pipelines.stages import Stage, StageCall
from perfsuite.workload import Shot, Workload

if TYPE_CHECKING:
    import torch

Pipeline: TypeAlias = Any
"""An object of one of the classes that a family names; it and its modules are not typed."""

StepHook: TypeAlias = Callable[[int], None]
"""Called with the number of each denoising step, from 0, when the step is done."""


@dataclass(frozen=True)
class PipelineOutput:
    """What one call of a pipeline made.

    Attributes:
        images: as the pipeline returned them: arrays (batch x height x width x 3, from 0 to 1) for
            the output type 'np', PIL images for 'pil'.
        latents: batch x channels x height x width, unpacked, before the decoder's scaling; None
            where they were not asked for.
    """

    images: Any
    latents: torch.Tensor | None = None


class PipelineFamily(Protocol):
    """How perfsuite works with one kind of pipeline.

    Subclass it: the attributes and `call` are a family's own, the other methods
    have defaults. Optional methods raise `NotAvailable` unless a family has its own;
    the tier is then built without that change, and the result says so.

    Attributes:
        name: names the family in messages.
        pipelines: names of the pipeline classes that it is for; their subclasses are included.
        denoiser_name: the pipeline's attribute, and the checkpoint's folder, of the denoiser.
        decoder_name: the same of the module that makes images from latents.
        text_encoder_names: the same of the text encoders, in the pipeline's order.
    """

    name: str
    pipelines: tuple[str, ...]
    denoiser_name: str
    decoder_name: str
    text_encoder_names: tuple[str, ...]

    @abstractmethod
    def call(
        self,
        pipeline: Pipeline,
        workload: Workload,
        shot: Shot,
        *,
        output_type: str = "pil",
        on_step: StepHook | None = None,
        keeps_latents: bool = False,
    ) -> PipelineOutput:
        """Call the pipeline once, as a user would.

        Args:
            pipeline: the pipeline.
            workload: steps, guidance, size and batch.
            shot: prompt and seed; the noise comes from `noise_generators`.
            output_type: 'pil', or 'np' for arrays.
            on_step: called after every denoising step; without it the call has no hook at all.
            keeps_latents: whether the final latents are wanted too.
        """

    def prepare(self, pipeline: Pipeline) -> None:
        """Set up a pipeline that was just loaded: no progress bar, which would cost time."""
        if hasattr(pipeline, "set_progress_bar_config"):
            pipeline.set_progress_bar_config(disable=True)

    def denoiser(self, pipeline: Pipeline) -> Any:
        """The denoiser itself, inside what torch.compile has put around it."""
        return uncompiled(self.denoiser_as_called(pipeline))

    def denoiser_as_called(self, pipeline: Pipeline) -> Any:
        """What the pipeline calls at every step: the denoiser, compiled if the tier compiles."""
        return getattr(pipeline, self.denoiser_name)

    def set_denoiser(self, pipeline: Pipeline, module: Callable[..., Any]) -> None:
        """Make the pipeline call this one at every step."""
        setattr(pipeline, self.denoiser_name, module)

    def decoder(self, pipeline: Pipeline) -> Any:
        """The module whose `decode` makes images from latents, inside torch.compile's wrapper."""
        return uncompiled(getattr(pipeline, self.decoder_name))

    def text_encoders(self, pipeline: Pipeline) -> tuple[Any, ...]:
        """The text encoders, in the pipeline's order."""
        return tuple(uncompiled(getattr(pipeline, name)) for name in self.text_encoder_names)

    def stage_calls(self, pipeline: Pipeline) -> tuple[StageCall, ...]:
        """The calls that an image's time is made of, each of which belongs to one stage.

        What they leave out is the rest: the pipeline's own code.
        """
        calls = [
            *(
                StageCall(Stage.TEXT_ENCODERS, each, "forward")
                for each in self.text_encoders(pipeline)
            ),
            StageCall(Stage.DENOISING, self.denoiser_as_called(pipeline), "forward"),
            StageCall(Stage.DECODING, self.decoder(pipeline), "decode"),
        ]
        scheduler = getattr(pipeline, "scheduler", None)
        names = ("scale_model_input", "step")
        calls += [StageCall(Stage.SCHEDULER, scheduler, n) for n in names if hasattr(scheduler, n)]
        return tuple(calls)

    def components(self, pipeline: Pipeline) -> dict[str, Any]:
        """All modules of the pipeline, by the names that begin their layers' names."""
        encoders = zip(self.text_encoder_names, self.text_encoders(pipeline), strict=True)
        return {**dict(encoders), **self.modules(pipeline)}

    def modules(self, pipeline: Pipeline) -> dict[str, Any]:
        """The modules that optimisations act on, by the names that begin their layers' names."""
        return {
            self.denoiser_name: self.denoiser(pipeline),
            self.decoder_name: self.decoder(pipeline),
        }

    def set_attention(self, pipeline: Pipeline, *, fused: bool) -> None:
        """Compute attention by scaled_dot_product_attention, or by separate matrix products.

        Raises:
            NotAvailable: the family cannot choose.
        """
        raise NotAvailable(self.name, "attention processors that can be exchanged")

    def fuse_projections(self, pipeline: Pipeline) -> None:
        """One matrix product for query, key and value.

        Raises:
            NotAvailable: the family cannot fuse them.
        """
        raise NotAvailable(self.name, "fused projections")

    def compile(self, pipeline: Pipeline, mode: str) -> None:
        """torch.compile the denoiser and the decoder.

        Args:
            pipeline: the pipeline.
            mode: torch.compile's.

        Raises:
            NotAvailable: the family cannot be compiled.
        """
        raise NotAvailable(self.name, "compilation")


def uncompiled(module: Any) -> Any:
    """The module inside torch.compile's wrapper, or the module itself."""
    return getattr(module, "_orig_mod", module)


def noise_generators(workload: Workload, shot: Shot) -> list[torch.Generator]:
    """One seeded generator for each image of the batch.

    They are CPU generators, so that every device starts from the same noise.
    """
    import torch

    return [
        torch.Generator("cpu").manual_seed(shot.seed + copy) for copy in range(workload.batch_size)
    ]


_FAMILIES: dict[str, PipelineFamily] = {}
_MEMBERS = (
    *PipelineFamily.__annotations__,
    *(name for name in vars(PipelineFamily) if not name.startswith("_")),
)


def register_family(family: PipelineFamily) -> None:
    """Add a pipeline family, usually from a `conftest.py`.

    Raises:
        LadderError: it is incomplete, or one of its pipeline classes has a family already.
    """
    _check(family)
    for name in family.pipelines:
        if name in _FAMILIES:
            raise LadderError(
                f"pipeline class {name} belongs to the family '{_FAMILIES[name].name}' already",
                hint="name the pipeline's class otherwise, or use that family",
            )
    _FAMILIES.update(dict.fromkeys(family.pipelines, family))


def family_of(pipeline: Pipeline) -> PipelineFamily:
    """The family of a pipeline, by the name of its class or of one that it derives from.

    Raises:
        LadderError: there is none.
    """
    class_names = tuple(each.__name__ for each in type(pipeline).__mro__)
    for name in class_names:
        if name in _FAMILIES:
            return _FAMILIES[name]
    raise LadderError(
        f"no pipeline family for {class_names[0]} (there are those of {', '.join(_FAMILIES)})",
        hint="add one with perfsuite.register_family",
    )


def _check(family: PipelineFamily) -> None:
    if isinstance(family, type):
        raise LadderError(
            f"register_family got the class {family.__name__}",
            hint=f"pass an object of it: register_family({family.__name__}())",
        )
    missing = [name for name in _MEMBERS if not hasattr(family, name)]
    if missing:
        raise LadderError(
            f"pipeline family {type(family).__name__} has no {', '.join(missing)}",
            hint="subclass perfsuite.PipelineFamily and set what it has no default for",
        )
    for name in ("pipelines", "text_encoder_names"):
        if isinstance(getattr(family, name), str):
            raise LadderError(
                f"{name} of pipeline family '{family.name}' is one text",
                hint=f"make it a tuple: {name} = ('{getattr(family, name)}',)",
            )
    if not family.pipelines:
        raise LadderError(
            f"pipeline family '{family.name}' names no pipeline class",
            hint="list the class names in its attribute pipelines",
        )
