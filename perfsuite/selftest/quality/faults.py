"""The catalogue of planted faults, and of harmless changes that must not be called faults.

It is a room of the package, and not of the tests, so that `perfsuite selftest --quality` proves
the gate on whatever machine and checkpoint it is installed for. A new fault is a new row.
"""

from __future__ import annotations

from perfsuite.selftest.quality import damage
from perfsuite.selftest.quality.fault import Fault, Stage

_EXACT, _LAYERS, _VISIBLE = Stage.EXACTNESS, Stage.LAYERS, Stage.VISIBLE

FAULTS = (
    # Attention.
    Fault(
        "attention scale 5 % off",
        "a fused attention pattern that returns other numbers than the eager one",
        _EXACT,
        damage.scale_attention(1.05),
        "pytorch/pytorch#121174",
    ),
    Fault(
        "attention scale missing",
        "softmax(QK) without the division by sqrt(d)",
        _EXACT,
        damage.scale_attention(4.0),
        "Project-MONAI/GenerativeModels#146",
    ),
    Fault(
        "one attention head zeroed",
        "a kernel that leaves out the last head or starts at the second",
        _EXACT,
        damage.zero_one_head,
    ),
    Fault(
        "causal mask in self-attention",
        "SDPA called with is_causal where every token may see every other",
        _EXACT,
        damage.attention_with(damage.mask_causally),
        "pytorch/pytorch#195910",
    ),
    Fault(
        "last keys masked",
        "SDPA whose mask hides the last sixteenth of the keys",
        _EXACT,
        damage.attention_with(damage.mask_last_keys),
        "pytorch/pytorch#108503",
    ),
    Fault(
        "self-attention of one block zeroed",
        "a processor that returns nothing, and a residual that hides it",
        _EXACT,
        damage.zero_self_attention,
    ),
    Fault(
        "Q and K swapped in one fused layer",
        "a fused projection whose rows are split in another order",
        _EXACT,
        damage.swap_query_and_key,
    ),
    Fault(
        "fused layer keeps stale weights",
        "weights changed after fuse_qkv_projections(), which keeps copies of its own",
        _EXACT,
        damage.stale_fused_weights,
        "huggingface/diffusers#11903",
    ),
    # Other layers.
    Fault(
        "GroupNorm epsilon 1e-1",
        "a norm built with another library's default epsilon",
        _EXACT,
        damage.coarse_group_norm,
        "ml-explore/mlx-examples#1434",
    ),
    Fault(
        "GELU approximated by tanh",
        "an activation replaced by its fast approximation",
        _EXACT,
        damage.tanh_gelu,
    ),
    Fault(
        "circular padding left on",
        "'seamless tiling' patched into a convolution and never taken back",
        _EXACT,
        damage.circular_padding,
        "huggingface/diffusers#556",
    ),
    Fault(
        "convolution reads rows as columns",
        "wrong strides after a change of memory format",
        _EXACT,
        damage.transposed_convolution_input,
        "pytorch/pytorch#174963",
    ),
    Fault(
        "bfloat16 autocast left on",
        "a precision change that slips into what should be exact",
        _EXACT,
        damage.left_autocast,
    ),
    Fault(
        "one UNet output repeated",
        "an output buffer of a CUDA graph that the next run has overwritten",
        _EXACT,
        damage.stale_noise,
        "pytorch/pytorch#104435",
    ),
    # Text.
    Fault(
        "text encoder 2 dropped",
        "its embeddings arrive as zeros",
        _EXACT,
        damage.drop_second_encoder,
    ),
    Fault(
        "pooled prompts in the wrong order",
        "pooled embeddings of prompt and negative prompt change places",
        _EXACT,
        damage.swap_pooled_prompts,
        "Nerogar/OneTrainer#775",
    ),
    Fault(
        "wrong hidden layer (clip_skip)",
        "the text encoders' hidden states are taken one layer too early",
        _EXACT,
        damage.called(clip_skip=1),
        "huggingface/diffusers#13796",
    ),
    Fault(
        "wrong padding token",
        "the second tokenizer pads with another token than it was trained with",
        _EXACT,
        damage.pad_otherwise,
        "huggingface/diffusers#2201",
    ),
    Fault(
        "empty prompt encoded otherwise",
        "force_zeros_for_empty_prompt is lost from the pipeline's configuration",
        _EXACT,
        damage.encode_empty_prompt,
        "Haoming02/sd-webui-forge-classic#664",
    ),
    Fault(
        "wrong original_size",
        "micro-conditioning says that the picture was made from a larger one",
        _EXACT,
        damage.wrong_original_size,
        "huggingface/diffusers#6203",
    ),
    # Guidance, noise and schedule.
    Fault(
        "guidance 5.0 -> 5.5",
        "a default that is not what the documentation says",
        _EXACT,
        damage.scaled_call(guidance_scale=1.1),
        "huggingface/diffusers#4391",
    ),
    Fault(
        "guidance halves swapped",
        "prompt and negative prompt change places in the batch of two",
        _EXACT,
        damage.swap_guidance,
        "Nerogar/OneTrainer#775",
    ),
    Fault(
        "guidance rescaled",
        "guidance_rescale is on where it was off",
        _EXACT,
        damage.called(guidance_rescale=0.7),
        "rohitgandikota/sliders#134",
    ),
    Fault(
        "wrong seed",
        "noise from another generator than the one that was seeded",
        _EXACT,
        damage.wrong_seed,
        "huggingface/diffusers#13298",
    ),
    Fault(
        "middle step skipped",
        "one scheduler step returns its input",
        _EXACT,
        damage.skip_step(15),
    ),
    Fault(
        "last step skipped",
        "a loop that ends one step early, or whose last step is none",
        _EXACT,
        damage.skip_step(-1),
        "Tencent-Hunyuan/Hunyuan3D-2.1#209",
    ),
    Fault(
        "last sigma not zero",
        "a schedule that leaves noise in the picture",
        _EXACT,
        damage.leave_noise,
        "huggingface/diffusers#5689",
    ),
    Fault(
        "one step fewer",
        "29 steps where 30 were asked for",
        _EXACT,
        damage.scaled_call(num_inference_steps=29.5 / 30),
    ),
    Fault(
        "trailing timesteps",
        "a key of the scheduler's configuration is not read",
        _EXACT,
        damage.rescheduled(timestep_spacing="trailing"),
        "invoke-ai/InvokeAI#7601",
    ),
    Fault(
        "beta_end slightly off",
        "0.0125 for 0.012 in the noise schedule",
        _EXACT,
        damage.rescheduled(beta_end=0.0125),
    ),
    Fault(
        "linear beta schedule",
        "'linear' and 'scaled_linear' mixed up",
        _EXACT,
        damage.rescheduled(beta_schedule="linear"),
        "Comfy-Org/ComfyUI#1998",
    ),
    Fault(
        "DDIM ends above zero noise",
        "DDIM made from Euler's configuration inherits set_alpha_to_one=False",
        _EXACT,
        damage.ddim(set_alpha_to_one=False),
        "huggingface/diffusers#6068",
    ),
    # VAE and image.
    Fault(
        "VAE scaling factor 2 % off",
        "a scaling factor that is not the checkpoint's own",
        _EXACT,
        damage.vae_scale(1.02),
        "huggingface/diffusers#6923",
    ),
    Fault(
        "VAE scaling factor of SD 1.5",
        "0.18215 where SDXL has 0.13025: washed-out pictures",
        _EXACT,
        damage.vae_scale(0.18215 / 0.13025),
        "huggingface/diffusers#6753",
    ),
    Fault(
        "VAE tiles without overlap",
        "tiled decoding with visible seams",
        _EXACT,
        damage.tiled_vae,
        "Comfy-Org/ComfyUI#163",
    ),
    Fault(
        "red and blue swapped",
        "BGR taken for RGB",
        _EXACT,
        damage.swap_red_and_blue,
        "huggingface/diffusers#7013",
    ),
    Fault(
        "fp16 overflow in the VAE",
        "activations above 65504 become infinite, then NaN, then a black picture",
        _VISIBLE,
        damage.overflow_in_vae,
        "huggingface/diffusers#4398",
    ),
    Fault(
        "NaN in one image of a batch",
        "all images of a batch but the first are wrong",
        _VISIBLE,
        damage.nan_in_second_image,
        "pytorch/pytorch#179931",
        batch_size=2,
    ),
    Fault(
        "black image",
        "what a safety checker or a cast of NaN to bytes leaves",
        _VISIBLE,
        damage.blacken,
        "AUTOMATIC1111/stable-diffusion-webui#12019",
    ),
    Fault("saturated image", "pixels scaled twice and clipped", _VISIBLE, damage.saturate),
    Fault(
        "wrong size",
        "height taken from the checkpoint's default and halved",
        _VISIBLE,
        damage.scaled_call(height=0.5),
    ),
    # Quantised layers.
    Fault(
        "int8 scale 2 % off in one layer",
        "a scale rounded to a narrower dtype or computed over the wrong axis",
        _LAYERS,
        damage.int8_weight("scale", damage.two_percent_more),
    ),
    Fault(
        "one layer quantised to 4 bits",
        "another configuration reaches a layer by its name",
        _LAYERS,
        damage.int8_weight("qdata", damage.to_four_bits),
    ),
    Fault(
        "neighbouring int8 weights swapped",
        "a packed layout read in the wrong order",
        _LAYERS,
        damage.int8_weight("qdata", damage.swap_neighbours),
        "pytorch/executorch#6200",
    ),
    Fault(
        "one scale for all channels",
        "per-channel scales lost",
        _LAYERS,
        damage.int8_weight("scale", damage.one_scale_for_all),
    ),
    Fault(
        "activations clipped",
        "a static activation range that no longer fits",
        _LAYERS,
        damage.clip_activations,
    ),
)

HARMLESS = (
    Fault("nothing changed", "the tier as it is", None, damage.nothing),
    Fault("SDPA by plain matrix products", "another attention kernel", None, damage.math_attention),
    Fault("one rounding more", "another order of summation", None, damage.rounding_noise),
    Fault("no channels_last", "another memory format", None, damage.contiguous_format),
    Fault("DDIM for Euler", "the same steps, written otherwise", None, damage.ddim()),
    Fault("group norms in float64", "a more exact kernel", None, damage.double_norms),
)
