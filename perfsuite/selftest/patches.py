"""Small, reversible damage to a real pipeline: the material that planted faults are made of.

Each function is a context manager that undoes what it did. They reach into diffusers, torch and
torchao at the places where such bugs have been met, and work on a pipeline whose compiled code
runs eagerly (`torch.compiler.set_stance("force_eager")`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from perfsuite.pipelines import Pipeline, family_of

_ABSENT = object()


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Set an attribute, and put back what was there."""
    before = vars(owner).get(name, _ABSENT)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


@contextlib.contextmanager
def edited(tensor: torch.Tensor, edit: Callable[[torch.Tensor], Any]) -> Iterator[None]:
    """Edit a weight in place, and put back its numbers."""
    kept = tensor.detach().clone()
    with torch.no_grad():
        edit(tensor.data)
    try:
        yield
    finally:
        tensor.data.copy_(kept)


@contextlib.contextmanager
def configured(module: Any, **changes: Any) -> Iterator[None]:
    """Change a module's or pipeline's own configuration."""
    from diffusers.configuration_utils import FrozenDict

    with replaced(module, "_internal_dict", FrozenDict({**module.config, **changes})):
        yield


@contextlib.contextmanager
def hooked(module: nn.Module, change: Callable[[Any], Any]) -> Iterator[None]:
    """Change what a module returns; `change` gets its first output tensor."""

    def hook(_: nn.Module, inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (change(output[0]), *output[1:])
        if isinstance(output, torch.Tensor):
            return change(output)
        output[0] = change(output[0])
        return output

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def input_changed(
    module: nn.Module, change: Callable[[torch.Tensor], torch.Tensor]
) -> Iterator[None]:
    """Change what a module is given as its first input."""

    def hook(_: nn.Module, inputs: Any) -> Any:
        return (change(inputs[0]), *inputs[1:])

    handle = module.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def called_with(pipeline: Pipeline, change: Callable[[dict[str, Any]], Any]) -> Iterator[None]:
    """Change the arguments of every call of the pipeline; `change` edits them in place."""
    original = type(pipeline)

    def call(self: Any, **arguments: Any) -> Any:
        change(arguments)
        return original.__call__(self, **arguments)

    pipeline.__class__ = type(original.__name__, (original,), {"__call__": call})
    try:
        yield
    finally:
        pipeline.__class__ = original


@contextlib.contextmanager
def attention_called_with(
    pipeline: Pipeline,
    change: Callable[[dict[str, Any], torch.Tensor, torch.Tensor], Any],
) -> Iterator[None]:
    """Change the keyword arguments of SDPA; `change` gets them with query and key.

    Only inside the pipeline's denoiser: text encoders call SDPA too, and those of fp32 as well.
    """
    original = F.scaled_dot_product_attention
    inside: list[bool] = []

    def attend(query: Any, key: Any, value: Any, *rest: Any, **options: Any) -> Any:
        if inside:
            change(options, query, key)
        return original(query, key, value, *rest, **options)

    module = denoiser(pipeline)
    with contextlib.ExitStack() as stack:
        enter = module.register_forward_pre_hook(lambda *_: inside.append(True))
        leave = module.register_forward_hook(lambda *_: inside.clear())
        stack.callback(enter.remove)
        stack.callback(leave.remove)
        stack.enter_context(replaced(F, "scaled_dot_product_attention", attend))
        yield


@contextlib.contextmanager
def step_changed(
    pipeline: Pipeline, number: int, change: Callable[[Any, Any], Any]
) -> Iterator[None]:
    """Change one denoising step; `change` gets the sample before and after it.

    Args:
        pipeline: its scheduler is changed.
        number: of the step, from 0; negative counts from the last.
        change: returns what the step is to return.
    """
    scheduler = pipeline.scheduler
    original = scheduler.step

    def step(noise: Any, timestep: Any, sample: Any, *rest: Any, **options: Any) -> Any:
        after = original(noise, timestep, sample, *rest, **options)
        wanted = number % scheduler.num_inference_steps
        if scheduler.step_index - 1 != wanted:
            return after
        return (change(sample, after[0]), *after[1:])

    with replaced(scheduler, "step", step):
        yield


@contextlib.contextmanager
def sigmas_changed(pipeline: Pipeline, change: Callable[[torch.Tensor], Any]) -> Iterator[None]:
    """Edit the schedule's sigmas in place, each time that it is set."""
    scheduler = pipeline.scheduler
    original = scheduler.set_timesteps

    def set_timesteps(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        change(scheduler.sigmas)

    with replaced(scheduler, "set_timesteps", set_timesteps):
        yield


@contextlib.contextmanager
def decoded(pipeline: Pipeline, change: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Change the images that the decoder makes, from -1 to 1, batch x 3 x height x width."""
    module = decoder(pipeline)
    original = module.decode

    def decode(*arguments: Any, **options: Any) -> Any:
        output = original(*arguments, **options)
        return (change(output[0]),)

    with replaced(module, "decode", decode):
        yield


def denoiser(pipeline: Pipeline) -> Any:
    """The denoiser; its layers are reached by names that `nn.Module` does not know."""
    return family_of(pipeline).denoiser(pipeline)


def decoder(pipeline: Pipeline) -> Any:
    """The module that makes images from latents."""
    return family_of(pipeline).decoder(pipeline)


def first_block(pipeline: Pipeline, where: str = "up") -> Any:
    """A transformer block of the denoiser: the first one of the middle or of the way up."""
    module = denoiser(pipeline)
    holder = module.mid_block if where == "mid" else module.up_blocks[0]
    return holder.attentions[0].transformer_blocks[0]


def quantised_layer(pipeline: Pipeline) -> Any:
    """A quantised layer: the feed-forward layer of `first_block`, else the first there is."""
    from perfsuite.images.layers import quantised_layers

    layers = quantised_layers(pipeline)
    wanted = [name for name in layers if "up_blocks.0" in name and "ff.net.2" in name]
    return layers[wanted[0] if wanted else next(iter(layers))]
