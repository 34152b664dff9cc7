"""Tiny diffusers pipelines with random weights, saved exactly as a hub download looks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLQwenImage,
    DiffusionPipeline,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxKontextPipeline,
    FluxPipeline,
    FluxTransformer2DModel,
    PNDMScheduler,
    QwenImageEditPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

WIDTH = 32
"""Hidden size of every tiny text encoder."""

QWEN_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)


def byte_alphabet() -> list[str]:
    """The 256 printable stand-ins that byte-level tokenizers use for bytes."""
    return sorted(ByteLevel.alphabet())


def clip_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer that knows single characters only."""
    letters = byte_alphabet()
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=77)


def t5_tokenizer() -> T5Tokenizer:
    """A T5 tokenizer that knows single printable characters only."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((chr(code), -3.0) for code in range(33, 127))]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)


def qwen_tokenizer() -> Qwen2Tokenizer:
    """A Qwen2 tokenizer that knows single bytes and the chat and vision marks only."""
    words = [*byte_alphabet(), *QWEN_TOKENS]
    return Qwen2Tokenizer(
        vocab={word: index for index, word in enumerate(words)},
        merges=[],
        additional_special_tokens=list(QWEN_TOKENS),
        model_max_length=4096,
    )


def clip_text_config(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    """The shape of a tiny CLIP text encoder that reads what the tokenizer writes."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=64,
        projection_dim=WIDTH,
        num_attention_heads=4,
        num_hidden_layers=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def autoencoder(channels: Sequence[int] = (4, 8), latent_channels: int = 4, **extra: Any) -> AutoencoderKL:
    """A tiny image autoencoder that halves the image once per channel step."""
    return AutoencoderKL(
        block_out_channels=tuple(channels),
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        latent_channels=latent_channels,
        norm_num_groups=2,
        sample_size=32,
        **extra,
    )


def unet(in_channels: int = 4, **extra: Any) -> UNet2DConditionModel:
    """A tiny denoiser that attends to text."""
    shape: dict[str, Any] = {"layers_per_block": 1, "norm_num_groups": 2, "attention_head_dim": 2, "cross_attention_dim": WIDTH}
    return UNet2DConditionModel(
        block_out_channels=(4, 8),
        sample_size=16,
        in_channels=in_channels,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **(shape | extra),
    )


def safety_checker() -> StableDiffusionSafetyChecker:
    """A safety checker that flags every image: no cosine similarity is below its thresholds."""
    vision = CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=64, num_attention_heads=4, num_hidden_layers=1, image_size=32, patch_size=8
    )
    config = CLIPConfig(vision_config=vision.to_dict(), projection_dim=16)
    checker = StableDiffusionSafetyChecker(config)
    checker.concept_embeds_weights.data.fill_(-2.0)
    checker.special_care_embeds_weights.data.fill_(-2.0)
    return checker


def save(pipeline: DiffusionPipeline, folder: Path) -> Path:
    """Write the pipeline and its model_index.json into the folder."""
    pipeline.save_pretrained(folder)
    return folder


def build_stable_diffusion(folder: Path) -> Path:
    """Stable Diffusion without a safety checker."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    pipeline = StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=CLIPTextModel(clip_text_config(tokenizer)),
        tokenizer=tokenizer,
        unet=unet(),
        scheduler=PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return save(pipeline, folder)


def build_guarded_stable_diffusion(folder: Path) -> Path:
    """Stable Diffusion whose safety checker flags every image."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    pipeline = StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=CLIPTextModel(clip_text_config(tokenizer)),
        tokenizer=tokenizer,
        unet=unet(),
        scheduler=PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
        ),
        safety_checker=safety_checker(),
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
    )
    return save(pipeline, folder)


def build_stable_diffusion_xl(folder: Path) -> Path:
    """Stable Diffusion XL with its two text encoders."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    time_width = 8
    pipeline = StableDiffusionXLPipeline(
        vae=autoencoder(),
        text_encoder=CLIPTextModel(clip_text_config(tokenizer)),
        text_encoder_2=CLIPTextModelWithProjection(clip_text_config(tokenizer)),
        tokenizer=tokenizer,
        tokenizer_2=clip_tokenizer(),
        unet=unet(
            use_linear_projection=True,
            cross_attention_dim=2 * WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=time_width,
            projection_class_embeddings_input_dim=6 * time_width + WIDTH,
        ),
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        add_watermarker=False,
    )
    return save(pipeline, folder)


def build_instruct_pix2pix(folder: Path) -> Path:
    """InstructPix2Pix, which edits an image as the prompt says."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=autoencoder(),
        text_encoder=CLIPTextModel(clip_text_config(tokenizer)),
        tokenizer=tokenizer,
        unet=unet(in_channels=8),
        scheduler=EulerAncestralDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return save(pipeline, folder)


def flux_parts(channels: Sequence[int]) -> dict[str, Any]:
    """The parts that FLUX and FLUX Kontext have in common."""
    tokenizer, tokenizer_2 = clip_tokenizer(), t5_tokenizer()
    encoder_config = T5Config(
        vocab_size=len(tokenizer_2), d_model=WIDTH, d_kv=8, d_ff=64, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
    )
    return {
        "vae": autoencoder(channels, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1159, scaling_factor=0.3611),
        "text_encoder": CLIPTextModel(clip_text_config(tokenizer)),
        "tokenizer": tokenizer,
        "text_encoder_2": T5EncoderModel(encoder_config),
        "tokenizer_2": tokenizer_2,
        "transformer": FluxTransformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            guidance_embeds=True,
            axes_dims_rope=(4, 4, 8),
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    }


def build_flux(folder: Path) -> Path:
    """FLUX with guidance embedded, as in FLUX.1-dev."""
    torch.manual_seed(0)
    return save(FluxPipeline(**flux_parts(channels=(4, 8))), folder)


def build_flux_kontext(folder: Path) -> Path:
    """FLUX Kontext, whose autoencoder shrinks much because the pipeline works at one megapixel."""
    torch.manual_seed(0)
    return save(FluxKontextPipeline(**flux_parts(channels=(2, 2, 4, 4, 8, 8))), folder)


def qwen_parts(shrinks: int) -> dict[str, Any]:
    """The parts that Qwen-Image and Qwen-Image-Edit have in common."""
    tokenizer = qwen_tokenizer()
    latent_channels = 4
    text: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rope_scaling": {"mrope_section": [2, 3, 3], "rope_type": "default", "type": "default"},
        "rope_theta": 1_000_000.0,
        "bos_token_id": tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
    }
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": WIDTH}
    marks = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{mark}|>")
        for name, mark in {
            "image": "image_pad",
            "video": "video_pad",
            "vision_start": "vision_start",
            "vision_end": "vision_end",
        }.items()
    }
    return {
        "vae": AutoencoderKLQwenImage(
            base_dim=8,
            z_dim=latent_channels,
            dim_mult=[1] * (shrinks + 1),
            num_res_blocks=1,
            temperal_downsample=[False] * (shrinks - 1) + [True],
            latents_mean=[0.0] * latent_channels,
            latents_std=[1.0] * latent_channels,
        ),
        "text_encoder": Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=vision, **marks)),
        "tokenizer": tokenizer,
        "transformer": QwenImageTransformer2DModel(
            in_channels=4 * latent_channels,
            out_channels=latent_channels,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            axes_dims_rope=(8, 4, 4),
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    }


def build_qwen_image(folder: Path) -> Path:
    """Qwen-Image, text to image."""
    torch.manual_seed(0)
    return save(QwenImagePipeline(**qwen_parts(shrinks=2)), folder)


def build_qwen_image_edit(folder: Path) -> Path:
    """Qwen-Image-Edit (needs torchvision), whose autoencoder shrinks much because the pipeline reads images at one megapixel."""
    torch.manual_seed(0)
    parts = qwen_parts(shrinks=4)
    images = Qwen2VLImageProcessor(size={"shortest_edge": 28 * 28, "longest_edge": 56 * 56})
    processor = Qwen2VLProcessor(image_processor=images, tokenizer=parts["tokenizer"], video_processor=Qwen2VLVideoProcessor())
    return save(QwenImageEditPipeline(**parts, processor=processor), folder)
