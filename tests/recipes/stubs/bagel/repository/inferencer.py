import torch
from PIL import Image
from stub_language import LETTERS, describe, make_noise, run_out

VLM_THINK_SYSTEM_PROMPT = "think words for answers"
GEN_THINK_SYSTEM_PROMPT = "think words for pictures"


class InterleaveInferencer:
    def __init__(self, model, vae_model, tokenizer, vae_transform, vit_transform, new_token_ids):
        self.model, self.vae_model, self.tokenizer = model, vae_model, tokenizer
        self.vae_transform, self.vit_transform, self.new_token_ids = vae_transform, vit_transform, new_token_ids

    def interleave_inference(
        self,
        input_lists,
        think=False,
        understanding_output=False,
        max_think_token_n=1000,
        do_sample=False,
        text_temperature=0.3,
        cfg_text_scale=3.0,
        cfg_img_scale=1.5,
        cfg_interval=[0.4, 1.0],
        timestep_shift=3.0,
        num_timesteps=50,
        cfg_renorm_min=0.0,
        cfg_renorm_type="global",
        image_shapes=(1024, 1024),
        enable_taylorseer=False,
    ):
        make_noise("asked")
        thoughts = [VLM_THINK_SYSTEM_PROMPT if understanding_output else GEN_THINK_SYSTEM_PROMPT] if think else []
        ids = []
        for one in thoughts + input_lists:
            if isinstance(one, Image.Image):
                ids += [LETTERS + ord(letter) for letter in describe(one)]
                image_shapes = self.vae_transform.resize_transform(one).size[::-1]
            else:
                marks = self.new_token_ids
                ids += [marks["bos_token_id"], *self.tokenizer.encode(one), marks["eos_token_id"]]
        answer = []
        if think or understanding_output:
            answer.append(self.gen_text(ids, max_think_token_n, do_sample, text_temperature))
        if not understanding_output and "WORDS ONLY" not in self.tokenizer.tell(ids):
            assert cfg_renorm_type in ("global", "text_channel", "channel")
            answer.append(self.gen_image(ids, image_shapes, cfg_img_scale))
        return answer

    def gen_text(self, ids, limit, do_sample, temperature):
        tokens = self.model.generate_text(
            past_key_values=ids,
            packed_key_value_indexes=None,
            key_values_lens=None,
            packed_start_tokens=self.new_token_ids["bos_token_id"],
            packed_query_position_ids=None,
            max_length=limit,
            do_sample=do_sample,
            temperature=temperature,
            end_token_id=self.new_token_ids["eos_token_id"],
        )
        return self.tokenizer.decode(tokens[1:, 0], skip_special_tokens=True)

    def gen_image(self, ids, shape, cfg_img_scale):
        words = self.tokenizer.tell(ids)
        assert "⟦<|vision" not in words
        run_out(words)
        pixels = torch.randint(256, (*shape, 3), dtype=torch.uint8)
        pixels[0, 0] = torch.tensor([round(10 * cfg_img_scale), len(words) % 256, 0])
        self.vae_model.decode(torch.zeros(1))
        return Image.fromarray(pixels.numpy())
