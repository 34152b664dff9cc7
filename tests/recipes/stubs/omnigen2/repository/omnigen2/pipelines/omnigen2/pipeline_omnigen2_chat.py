class OmniGen2ChatPipeline:
    def __init__(self, transformer, vae, scheduler, mllm, processor):
        assert transformer is not None
        self.processor = processor

    def _apply_chat_template(self, prompt, images=None):
        seen = "".join(f"<img{i}>: <|vision_start|><|image_pad|><|vision_end|>" for i in range(1, len(images or []) + 1))
        words = f"{seen}{prompt}<|im_end|>\n<|im_start|>assistant\n"
        return f"<|im_start|>system\nwords of the stub<|im_end|>\n<|im_start|>user\n{words}"

    def prepare_inputs_for_text_generation(self, prompts, input_images, device):
        return self.processor.read(prompts, input_images or [])
