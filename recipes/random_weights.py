"""Make a small model of random weights for a recipe, so that its environment and its script are checked before a large download.

    /envs/janusflow/bin/python recipes/random_weights.py janusflow --checkout /src/Janus --to /tmp/random-janusflow

Run it with the Python of the model's environment: it builds the authors' own classes in a small size, and writes the weights and a
bench.toml with the command. Then it prints how to ask it (`recipes/smoke_check.py`). The answers are noise: what is checked is that
the public code, the pins and the script fit together. Harmon draws on CUDA alone; the others do all on a CPU.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import shutil
import sys
from pathlib import Path

RECIPES = Path(__file__).resolve().parent
COMMIT = "0" * 40
"""The commit of the small repositories in the hub's cache that stand in for real ones."""
QWEN_MARKS = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
SMALL_QWEN = {
    "hidden_size": 128,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=sorted(MAKERS))
    parser.add_argument("--checkout", required=True, type=Path)
    parser.add_argument("--to", required=True, type=Path, help="a folder that is made, and filled")
    given = parser.parse_args()
    checkout, folder = given.checkout.resolve(), given.to.resolve()
    if not checkout.is_dir():
        sys.exit(f"there is no folder {checkout}; clone the public repository there")
    if folder.exists():
        sys.exit(f"{folder} is there already; name another one with --to")
    os.environ.update(HF_HOME=str(folder / "hub"), HF_HUB_OFFLINE="1")
    try:
        import torch
    except ImportError:
        sys.exit(f"{sys.executable} has no torch; run this with the python of the model's environment")

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    inside = checkout / "show-o2" if given.recipe == "show_o2" else checkout
    sys.path.insert(0, str(inside))
    os.chdir(inside)
    places, options = MAKERS[given.recipe](folder)
    write_entry(folder, given.recipe, {"checkout": checkout, **places}, options)
    smoke = [sys.executable, RECIPES / "smoke_check.py", folder, "--device", "cpu"]
    print("Ask it (with Python 3.11 or newer):\n  HF_HUB_OFFLINE=1 HF_HOME=" + str(folder / "hub"), *smoke)


def write_entry(folder, recipe, places, options):
    """A bench.toml as in the recipe's folder, with places of this machine."""
    script = RECIPES / recipe / f"serve_{recipe}.py"
    command = [sys.executable, script, *(word for name, place in places.items() for word in (f"--{name}", place))]
    if (folder / "cpu").is_dir():  # packages that stand in for those that need a GPU
        command = ["env", f"PYTHONPATH={folder / 'cpu'}", *command]
    listed = ", ".join(f"{name} = {write_value(value)}" for name, value in options.items())
    entry = f'[[models]]\nname = "random-{recipe}"\nprovider = "command"\ncommand = {json.dumps([str(word) for word in command])}\n'
    entry += f'takes = ["text", "image"]\ngives = ["text", "image"]\noptions = {{ {listed} }}\n'
    (folder / "bench.toml").write_text(entry, "utf-8")


def write_value(value):
    """A value of TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {write_value(one)}" for name, one in value.items()) + " }"
    return json.dumps(value)


# --- parts


def make_tokenizer(marks, end, pad, begin=None, kind="PreTrainedTokenizerFast"):
    """A tokenizer of transformers whose tokens are bytes and marks, the marks first."""
    import transformers
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    strings = [*dict.fromkeys([*marks, end, pad, *filter(None, [begin])])]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytewise = Tokenizer(models.BPE(vocab={string: number for number, string in enumerate([*strings, *letters])}, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    bytewise.add_special_tokens([AddedToken(string, special=True) for string in strings])
    more = {"additional_special_tokens": [string for string in strings if string not in (end, pad, begin)]}
    return getattr(transformers, kind)(tokenizer_object=bytewise, eos_token=end, pad_token=pad, bos_token=begin, **more)


def make_hub_folder(folder, name):
    """The folder in the hub's cache where `from_pretrained(name)` looks."""
    place = folder / "hub" / "hub" / ("models--" + name.replace("/", "--"))
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    snapshot = place / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    return snapshot


def make_qwen(folder, name, **sizes):
    """A small Qwen2.5 in the hub's cache: configuration and tokenizer. As in real ones, there are more embeddings than tokens."""
    from transformers import Qwen2Config

    place = make_hub_folder(folder, name)
    tokenizer = make_tokenizer(QWEN_MARKS, "<|im_end|>", "<|endoftext|>")
    tokenizer.save_pretrained(place)
    config = Qwen2Config(vocab_size=len(tokenizer) + 100, eos_token_id=tokenizer.eos_token_id, **{**SMALL_QWEN, **sizes})
    config.save_pretrained(place)
    return place, config


# --- models: each returns the script's places and options


def make_janusflow(folder):
    from diffusers.models import AutoencoderKL
    from janus.janusflow.models import MultiModalityCausalLM, VLChatProcessor, VLMImageProcessor
    from janus.janusflow.models.modeling_vlm import MultiModalityConfig

    marks = ["<image_placeholder>", "<begin_of_image>", "<end_of_image>", "<｜begin▁of▁generation｜>"]
    ends = ("<｜end▁of▁sentence｜>", "<｜▁pad▁｜>", "<｜begin▁of▁sentence｜>")
    tokenizer = make_tokenizer(marks, *ends, kind="LlamaTokenizerFast")
    pixels = VLMImageProcessor(image_size=384, image_mean=(0.5, 0.5, 0.5), image_std=(0.5, 0.5, 0.5))
    VLChatProcessor(pixels, tokenizer, sft_format="deepseek_old").save_pretrained(folder / "weights")
    drawn = {"block_out_channels": [768], "layers_in_middle": 2, "hidden_size": 2048}
    seen = {"model_name": "siglip_large_patch16_384", "image_size": 384, "select_layer": -1}
    config = MultiModalityConfig(
        vision_und_enc_config={"cls": "CLIPVisionTower", "params": seen},
        vision_gen_enc_config={
            "cls": "ShallowUViTEncoder",
            "params": {"input_channels": 4, "stride": 2, "kernel_size": 2, "padding": 0, **drawn},
        },
        vision_gen_dec_config={
            "cls": "ShallowUViTDecoder",
            "params": {"in_channels": 768, "out_channels": 4, "upsamples": 1, **drawn},
        },
        language_config={"vocab_size": len(tokenizer), "num_attention_heads": 16, **SMALL_LLAMA},
    )
    MultiModalityCausalLM(config).save_pretrained(folder / "weights")
    levels = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    vae = AutoencoderKL(**levels, block_out_channels=[32] * 4, latent_channels=4, norm_num_groups=8, scaling_factor=0.13025)
    vae.save_pretrained(folder / "vae")
    return {"weights": folder / "weights", "vae": folder / "vae"}, {"steps": 3}


SMALL_LLAMA = {"hidden_size": 2048, "intermediate_size": 512, "num_hidden_layers": 2, "max_position_embeddings": 4096}
"""The width stands in JanusFlow's code; the rest is small."""


def make_show_o2(folder):
    import torch
    from models import Showo2Qwen2_5
    from models.misc import get_text_tokenizer
    from models.modeling_siglip import SiglipModel
    from models.wan21_vae import WanVAE_
    from transformers import SiglipConfig

    words = "Qwen/Qwen2.5-7B-Instruct"
    make_qwen(folder, words)
    small = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
    sight = SiglipConfig(text_config={**small, "vocab_size": 64}, vision_config={**small, "image_size": 384, "patch_size": 14})
    SiglipModel(sight).save_pretrained(make_hub_folder(folder, "google/siglip-so400m-patch14-384"))
    showo = Showo2Qwen2_5(
        llm_vocab_size=len(get_text_tokenizer(words)),
        llm_model_path=words,
        load_from_showo=True,
        image_latent_height=27,
        image_latent_width=27,
        hidden_size=SMALL_QWEN["hidden_size"],
        clip_latent_dim=small["hidden_size"],
        num_diffusion_layers=1,
        add_qk_norm=True,
    )
    showo.save_pretrained(folder / "weights", safe_serialization=False)
    vae = WanVAE_(dim=96, z_dim=16, temperal_downsample=[False, True, True])
    torch.save(vae.state_dict(), folder / "Wan2.1_VAE.pth")
    return {"weights": folder / "weights", "vae": folder / "Wan2.1_VAE.pth"}, {"steps": 3}


def make_harmon(folder):
    import torch
    from mmengine.config import Config
    from src.builder import BUILDER
    from src.models.mar.vae import AutoencoderKL
    from transformers import Qwen2ForCausalLM

    file, vae = "configs/models/qwen2_5_0_5b_kl16_mar_b.py", folder / "kl16.ckpt"
    place, config = make_qwen(folder, "Qwen/Qwen2.5-0.5B-Instruct")
    Qwen2ForCausalLM(config).save_pretrained(place)
    torch.save({"model": AutoencoderKL(embed_dim=16, ch_mult=(1, 1, 2, 2, 4)).state_dict()}, vae)
    whole = Config.fromfile(file)
    whole.model.vae.ckpt_path, whole.model.llm.attn_implementation = str(vae), "sdpa"
    torch.save(BUILDER.build(whole.model).state_dict(), folder / "harmon.pth")
    options = {"config": file, "attention": "sdpa", "steps": 2, "image_size": 256}
    return {"weights": folder / "harmon.pth", "vae": vae}, options


def make_tar(folder):
    import tok.mm_autoencoder  # noqa: F401  (what it imports registers the parts)
    import torch
    from tok import models
    from tok.ar_dtok.vqvae import VQ_models
    from tok.ta_tok import TextAlignedTokenizer
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM, SiglipConfig

    weights, tokenizers, siglip, codes = folder / "weights", folder / "tokenizers", folder / "siglip", 4096
    tokenizer = make_tokenizer(QWEN_MARKS, "<|im_end|>", "<|endoftext|>")
    tokenizer.add_tokens(["<im_start>", "<im_end>", "<S0>", "<S1>", "<S2>", *(f"<I{number}>" for number in range(codes))])
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(weights)
    language = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer), **SMALL_QWEN))
    language.generation_config = GenerationConfig(eos_token_id=[tokenizer.eos_token_id], do_sample=True, top_k=20)
    language.save_pretrained(weights)
    tokenizers.mkdir()
    sight = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
    SiglipConfig(
        text_config={**sight, "vocab_size": 64}, vision_config={**sight, "image_size": 384, "patch_size": 14}
    ).save_pretrained(siglip)
    quantizer = {"name": "simvq", "args": {"codebook_size": codes, "l2_normalized": True}}
    bottleneck = {"name": "bottleneck", "args": {"bottleneck_dim": 16, "regularizer": quantizer}}
    encoder = {"bottleneck": bottleneck, "bottleneck_token_num": 729, "teacher": str(siglip), "decoder_depth": 1}
    state = TextAlignedTokenizer(**copy.deepcopy(encoder)).state_dict()
    torch.save({"model": {"args": encoder, "sd": state}}, tokenizers / "ta_tok.pth")
    decoder = {"model_type": "clip_cond", "cond_dim": 48, "vocab_size": 16384, "cls_token_num": 729, "max_seq_len": 16}
    state = models.models["llama-abs-S"](**decoder).state_dict()
    torch.save({"model": {"name": "llama-abs-S", "args": decoder, "sd": state}}, tokenizers / "ar_dtok_lp_256px.pth")
    pixels = VQ_models["VQ-16"](codebook_size=16384, codebook_embed_dim=8)
    torch.save({"model": pixels.state_dict()}, tokenizers / "vq_ds16_t2i.pt")
    return {"weights": weights, "tokenizers": tokenizers}, {"dtype": "float32", "pixels": 256, "scale": 2, "edits": True}


CHAT = (
    "{% for turn in messages %}{{ '<|im_start|>' + turn['role'] + '\n' + turn['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_bagel(folder):
    """Its VAE has the real size, 0.3 GB: ask for small pictures. flash_attn, which runs on GPUs alone, has a stand-in."""
    import torch
    from tokenizers import pre_tokenizers

    weights, stand_in = folder / "weights", folder / "cpu"
    weights.mkdir()
    stand_in.mkdir()
    shutil.copy(RECIPES / "bagel" / "flash_attn_on_cpu.py", stand_in / "flash_attn.py")
    sys.path[1:1] = [str(stand_in), str(RECIPES / "bagel")]
    from modeling.autoencoder import load_ae
    from safetensors.torch import save_file
    from serve_bagel import outline

    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    marks = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]}
    sight = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
    files = {
        "vocab.json": letters,
        "tokenizer_config.json": marks,
        "llm_config.json": {"vocab_size": len(letters) + 5, **SMALL_QWEN},
        "vit_config.json": {"patch_size": 14, "image_size": 980, **sight},
    }
    for name, content in files.items():
        (weights / name).write_text(json.dumps(content))
    (weights / "merges.txt").write_text("#version: 0.2\n")
    vae, vae_config = load_ae(local_path=None)
    save_file(vae.state_dict(), weights / "ae.safetensors")
    model = outline(weights, vae_config)
    for name, parameter in model.named_parameters():
        if "vae" in name or "latent" in name:
            parameter.data.normal_(0, 0.05)  # the public code starts them at 0, and nothing would be drawn
    state = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, weights / "ema.safetensors")
    return {"weights": weights}, {"draw": {"num_timesteps": 3}, "edit": {"num_timesteps": 3}}


MAKERS = {"bagel": make_bagel, "harmon": make_harmon, "janusflow": make_janusflow, "show_o2": make_show_o2, "tar": make_tar}

if __name__ == "__main__":
    main()
