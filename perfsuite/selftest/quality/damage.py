"""What each planted fault does to a pipeline, one short function each.

A function is a `Patch` (it takes a pipeline and returns a context manager), or makes one.
"""
# What each function imitates stands beside it in the catalogue (perfsuite.selftest.quality.faults).
# ruff: noqa: D103

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from perfsuite.pipelines import Pipeline, family_of
from perfsuite.selftest import patches

Patch = Callable[[Pipeline], contextlib.AbstractContextManager[Any]]


def nothing(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def attention_with(change: Callable[[dict[str, Any], torch.Tensor, torch.Tensor], Any]) -> Patch:
    return lambda pipeline: patches.attention_called_with(pipeline, change)


def scale_attention(factor: float) -> Patch:
    def change(options: dict[str, Any], query: torch.Tensor, key: torch.Tensor) -> None:
        options["scale"] = (options.get("scale") or query.shape[-1] ** -0.5) * factor

    return attention_with(change)


def mask_causally(options: dict[str, Any], query: torch.Tensor, key: torch.Tensor) -> None:
    if query.shape[-2] == key.shape[-2]:
        options["is_causal"] = True


def mask_last_keys(options: dict[str, Any], query: torch.Tensor, key: torch.Tensor) -> None:
    seen = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device)
    seen[:, -max(1, key.shape[-2] // 16) :] = False
    options["attn_mask"] = seen


def zero_one_head(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    attention = patches.first_block(pipeline).attn1
    width = attention.to_out[0].in_features // attention.heads

    def change(heads: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(heads[..., :width]), heads[..., width:]], dim=-1)

    return patches.input_changed(attention.to_out[0], change)


def swap_query_and_key(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    def swap(weight: torch.Tensor) -> None:
        width = weight.shape[0] // 3
        weight[: 2 * width] = weight[: 2 * width].roll(width, 0)

    return patches.edited(patches.first_block(pipeline).attn1.to_qkv.weight, swap)


def stale_fused_weights(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    """A rank-1 update of a tenth of the weight's norm, as an adapter makes, is missing."""

    def change(weight: torch.Tensor) -> None:
        generator = torch.Generator().manual_seed(0)
        rows = torch.randn(weight.shape[0], 1, generator=generator)
        columns = torch.randn(1, weight.shape[1], generator=generator)
        update = (rows @ columns).to(weight)
        weight.add_(update * (0.1 * weight.norm() / update.norm()))

    return patches.edited(patches.first_block(pipeline).attn2.to_kv.weight, change)


def zero_self_attention(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    layer = patches.first_block(pipeline).attn1.to_out[0]
    return patches.hooked(layer, torch.zeros_like)


def coarse_group_norm(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    norm = patches.denoiser(pipeline).up_blocks[-1].resnets[0].norm1
    return patches.replaced(norm, "eps", 1e-1)


def tanh_gelu(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    original = F.gelu

    def gelu(values: torch.Tensor, approximate: str = "none") -> torch.Tensor:
        return original(values, approximate="tanh")

    return patches.replaced(F, "gelu", gelu)


def circular_padding(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    return patches.replaced(patches.denoiser(pipeline).conv_out, "padding_mode", "circular")


def transposed_convolution_input(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    layer = patches.denoiser(pipeline).up_blocks[-1].resnets[-1].conv2
    return patches.input_changed(layer, lambda image: image.transpose(-1, -2).contiguous())


def vae_scale(factor: float) -> Patch:
    def patch(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
        vae = patches.decoder(pipeline)
        return patches.configured(vae, scaling_factor=vae.config.scaling_factor * factor)

    return patch


def overflow_in_vae(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    def through_half(values: torch.Tensor) -> torch.Tensor:
        scale = 1e5 / values.abs().max()
        return (values * scale).half().to(values.dtype) / scale

    return patches.hooked(patches.decoder(pipeline).decoder.mid_block, through_half)


def tiled_vae(pipeline: Pipeline) -> contextlib.AbstractContextManager[Any]:
    vae, stack = patches.decoder(pipeline), contextlib.ExitStack()
    side = vae.config.sample_size // 2
    halvings = len(vae.config.block_out_channels) - 1
    settings = {
        "use_tiling": True,
        "tile_sample_min_size": side,
        "tile_latent_min_size": side >> halvings,
        "tile_overlap_factor": 0.0,
    }
    for name, value in settings.items():
        stack.enter_context(patches.replaced(vae, name, value))
    return stack


def swap_red_and_blue(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    return patches.decoded(pipeline, lambda image: image.flip(1))


def blacken(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    return patches.decoded(pipeline, lambda image: torch.full_like(image, -1.0))


def saturate(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    return patches.decoded(pipeline, lambda image: image * 50)


def skip_step(number: int) -> Patch:
    return lambda pipeline: patches.step_changed(pipeline, number, lambda before, after: before)


def leave_noise(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    def change(sigmas: torch.Tensor) -> None:
        sigmas[-1] = sigmas[-2] / 2

    return patches.sigmas_changed(pipeline, change)


def rescheduled(**changes: Any) -> Patch:
    def patch(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
        scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config, **changes)
        return patches.replaced(pipeline, "scheduler", scheduler)

    return patch


def ddim(**changes: Any) -> Patch:
    def patch(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
        from diffusers import DDIMScheduler

        config = {**pipeline.scheduler.config, "clip_sample": False, **changes}
        return patches.replaced(pipeline, "scheduler", DDIMScheduler.from_config(config))

    return patch


def stale_noise(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    """A third of the way through each image the denoiser's output is that of the step before."""
    last: list[torch.Tensor] = []
    calls = itertools.count()

    def repeat_one(noise: torch.Tensor) -> torch.Tensor:
        steps = pipeline.scheduler.num_inference_steps
        if next(calls) % steps == max(1, steps // 3):
            return last[0]
        last[:] = [noise]
        return noise

    return patches.hooked(patches.denoiser(pipeline), repeat_one)


def swap_guidance(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    return patches.hooked(patches.denoiser(pipeline), lambda noise: noise.flip(0))


def nan_in_second_image(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    def poison(noise: torch.Tensor) -> torch.Tensor:
        spoilt = noise.clone()
        spoilt[1::2] = float("nan")
        return spoilt

    return patches.hooked(patches.denoiser(pipeline), poison)


def called(**changes: Any) -> Patch:
    return lambda pipeline: patches.called_with(pipeline, lambda given: given.update(changes))


def scaled_call(**factors: float) -> Patch:
    def change(given: dict[str, Any]) -> None:
        given.update({name: type(given[name])(given[name] * by) for name, by in factors.items()})

    return lambda pipeline: patches.called_with(pipeline, change)


def wrong_seed(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    def change(given: dict[str, Any]) -> None:
        seeds = [generator.initial_seed() for generator in given["generator"]]
        given["generator"] = [torch.Generator().manual_seed(seed + 1) for seed in seeds]

    return patches.called_with(pipeline, change)


def wrong_original_size(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    def change(given: dict[str, Any]) -> None:
        given["original_size"] = (2 * given["height"], 2 * given["width"])

    return patches.called_with(pipeline, change)


def drop_second_encoder(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    encoder = family_of(pipeline).text_encoders(pipeline)[-1]
    original = encoder.forward

    def forward(*arguments: Any, **options: Any) -> Any:
        output = original(*arguments, **options)
        output["text_embeds"] = torch.zeros_like(output["text_embeds"])
        output["hidden_states"] = tuple(torch.zeros_like(each) for each in output["hidden_states"])
        return output

    return patches.replaced(encoder, "forward", forward)


def encode_empty_prompt(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    forced = pipeline.config.force_zeros_for_empty_prompt
    return patches.configured(pipeline, force_zeros_for_empty_prompt=not forced)


def left_autocast(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    return torch.autocast(pipeline.device.type, dtype=torch.bfloat16)


def int8_weight(name: str, edit: Callable[[torch.Tensor], Any]) -> Patch:
    def patch(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
        return patches.edited(getattr(patches.quantised_layer(pipeline).weight, name), edit)

    return patch


def two_percent_more(scales: torch.Tensor) -> None:
    scales.mul_(1.02)


def to_four_bits(codes: torch.Tensor) -> None:
    codes.copy_((codes.float() / 16).round().clamp(-8, 7) * 16)


def swap_neighbours(codes: torch.Tensor) -> None:
    codes.copy_(codes.reshape(codes.shape[0], -1, 2).flip(-1).reshape(codes.shape))


def clip_activations(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    def clip(values: torch.Tensor) -> torch.Tensor:
        limit = float(values.abs().max()) / 2
        return values.clamp(-limit, limit)

    return patches.input_changed(patches.quantised_layer(pipeline), clip)


def one_scale_for_all(scales: torch.Tensor) -> None:
    scales.fill_(float(scales.mean()))


def swap_pooled_prompts(pipeline: Pipeline) -> contextlib.AbstractContextManager[Any]:
    def swap(_: Any, positional: Any, given: dict[str, Any]) -> Any:
        conditions = given["added_cond_kwargs"]
        swapped = {**conditions, "text_embeds": conditions["text_embeds"].flip(0)}
        return positional, {**given, "added_cond_kwargs": swapped}

    hook = patches.denoiser(pipeline).register_forward_pre_hook(swap, with_kwargs=True)
    stack = contextlib.ExitStack()
    stack.callback(hook.remove)
    return stack


def pad_otherwise(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    @contextlib.contextmanager
    def padded(tokenizer: Any) -> Any:
        before = tokenizer.pad_token
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(0)
        try:
            yield
        finally:
            tokenizer.pad_token = before

    return padded(pipeline.tokenizer_2)


def math_attention(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    return torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)


def rounding_noise(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    generator = torch.Generator().manual_seed(0)

    def stir(noise: torch.Tensor) -> torch.Tensor:
        ulps = torch.rand(noise.shape, generator=generator).to(noise) - 0.5
        return noise * (1 + torch.finfo(noise.dtype).eps * ulps)

    return patches.hooked(patches.denoiser(pipeline), stir)


def contiguous_format(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    @contextlib.contextmanager
    def contiguous(modules: tuple[Any, ...]) -> Any:
        for module in modules:
            module.to(memory_format=torch.contiguous_format)
        try:
            yield
        finally:
            for module in modules:
                module.to(memory_format=torch.channels_last)

    return contiguous((patches.denoiser(pipeline), patches.decoder(pipeline)))


def double_norms(pipeline: Pipeline) -> contextlib.AbstractContextManager[None]:
    original = F.group_norm

    def group_norm(values: torch.Tensor, groups: int, weight: Any, bias: Any, eps: float) -> Any:
        wide = original(values.double(), groups, weight.double(), bias.double(), eps)
        return wide.to(values.dtype)

    return patches.replaced(F, "group_norm", group_norm)
