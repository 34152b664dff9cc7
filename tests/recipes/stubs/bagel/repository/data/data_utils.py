from stub_language import make_noise

make_noise("data is imported", child=True)


def add_special_tokens(tokenizer):
    new = tokenizer.add("<|vision_start|>", "<|vision_end|>")
    marks = {"bos_token_id": tokenizer.vocab["<|im_start|>"], "eos_token_id": tokenizer.vocab["<|im_end|>"]}
    return tokenizer, marks, new
