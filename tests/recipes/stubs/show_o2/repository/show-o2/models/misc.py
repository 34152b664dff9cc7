import torch
from stub_language import Tokenizer

tokenizer = Tokenizer(
    "<|im_end|>", "<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", pad="<|endoftext|>"
)


def get_text_tokenizer(model_path, add_showo_tokens=True, return_showo_token_ids=False, llm_name="qwen2_5"):
    assert llm_name == "qwen2_5"
    tokenizer.add("[PAD]", "<image>", "<|vid_start|>", "<|vid_end|>")
    tokenizer.pad_token_id = tokenizer.vocab["[PAD]"]
    names = {"bos": "im_start", "eos": "im_end", "boi": "vision_start", "eoi": "vision_end", "bov": "vid_start", "eov": "vid_end"}
    names.update(img_pad="image_pad", vid_pad="video_pad")
    marks = {f"{key}_id": tokenizer.vocab[f"<|{name}|>"] for key, name in names.items()}
    return tokenizer, {**marks, "img_id": tokenizer.vocab["<image>"]}


def prepare_gen_input(
    prompts, text_tokenizer, num_image_tokens, bos_id, eos_id, boi_id, eoi_id, pad_id, img_pad_id, max_text_len, device
):
    def row(prompt):
        words = text_tokenizer(prompt, add_special_tokens=False)["input_ids"][:max_text_len]
        text_tokenizer.check_prompt(words)
        ids = [bos_id, *words, boi_id, *[img_pad_id] * num_image_tokens, eoi_id, eos_id, *[pad_id] * (max_text_len - len(words))]
        return torch.tensor([ids]), torch.tensor([[[len(words) + 2, num_image_tokens]]])

    (prompt,) = prompts
    (tokens, places), (no_tokens, no_places) = row(prompt), row("")
    return tokens, no_tokens, places, no_places
