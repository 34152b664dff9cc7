"""Write tiny random weights in the layout of Tar's files: the script can then be tried with the public code, without a GPU.

    /envs/tar/bin/python recipes/tar/random_weights.py --checkout /src/Tar FOLDER

Then `serve_tar.py --checkout /src/Tar --weights FOLDER/llm --tokenizers FOLDER/tokenizers`, with the options `dtype = "float32"`,
`pixels = 256` and, for speed, `scale = 2`, and the device `cpu`. What it says and draws is noise.
"""

import argparse
import copy
import sys
from pathlib import Path

CODES = 4096
TEXT = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
PICTURE = {
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "patch_size": 14,
    "image_size": 384,
}
TEMPLATE = (
    "{% for turn in messages %}{{ '<|im_start|>' + turn['role'] + '\n' + turn['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", required=True)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    sys.path.insert(0, given.checkout)
    import torch

    torch.manual_seed(0)
    write_language_model(given.folder / "llm")
    write_tokenizers(given.folder / "tokenizers", str((given.folder / "siglip").resolve()))


def write_language_model(folder):
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer), max_position_embeddings=4096, **TEXT))
    ends = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config = GenerationConfig(
        eos_token_id=ends, pad_token_id=ends[1], do_sample=True, temperature=0.7, top_p=0.8, top_k=20
    )
    model.save_pretrained(folder)


def make_tokenizer():
    """Every byte is a token, and so is every mark of Tar's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    core = Tokenizer(models.BPE(vocab=letters, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    marks = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "additional_special_tokens": ["<|im_start|>"]}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **marks)
    tokenizer.add_tokens(["<im_start>", "<im_end>", "<S0>", "<S1>", "<S2>", *(f"<I{number}>" for number in range(CODES))])
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def write_tokenizers(folder, siglip):
    import tok.mm_autoencoder  # noqa: F401  (its imports name the models)
    import torch
    from tok import models
    from tok.ar_dtok.vqvae import VQ_models
    from tok.ta_tok import TextAlignedTokenizer
    from transformers import SiglipConfig

    folder.mkdir(parents=True, exist_ok=True)
    text = {"hidden_size": PICTURE["hidden_size"], "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 100}
    SiglipConfig(vision_config=PICTURE, text_config=text).save_pretrained(siglip)
    quantizer = {"name": "simvq", "args": {"codebook_size": CODES, "l2_normalized": True}}
    encoder = {
        "bottleneck": {"name": "bottleneck", "args": {"bottleneck_dim": 16, "regularizer": quantizer}},
        "bottleneck_token_num": 729,
        "teacher": siglip,
        "decoder_depth": 1,
    }
    made = TextAlignedTokenizer(**copy.deepcopy(encoder))
    torch.save({"model": {"args": encoder, "sd": made.state_dict()}}, folder / "ta_tok.pth")
    decoder = {
        "model_type": "clip_cond",
        "cond_dim": PICTURE["hidden_size"],
        "vocab_size": 16384,
        "cls_token_num": 729,
        "max_seq_len": 16,
    }
    state = models.models["llama-abs-S"](**decoder).state_dict()
    torch.save({"model": {"name": "llama-abs-S", "args": decoder, "sd": state}}, folder / "ar_dtok_lp_256px.pth")
    pixels = VQ_models["VQ-16"](codebook_size=16384, codebook_embed_dim=8)
    torch.save({"model": pixels.state_dict()}, folder / "vq_ds16_t2i.pt")


if __name__ == "__main__":
    main()
