from stub_inputs import ask


def build_inputs(model, text_tokenizer, visual_tokenizer, prompt, pil_image):
    return ask(model, text_tokenizer, prompt, pil_image, "multiple_image")
