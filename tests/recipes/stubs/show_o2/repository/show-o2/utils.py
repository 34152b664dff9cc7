import numpy as np
import torch

path_to_llm_name = {"Qwen/Qwen2.5-7B-Instruct": "qwen2_5"}


def denorm(images):
    images = torch.clamp((images + 1.0) / 2.0, min=0.0, max=1.0).to(torch.float32) * 255.0
    return images.permute(0, 2, 3, 1).cpu().numpy().astype(np.uint8)


def get_hyper_params(config, text_tokenizer, showo_token_ids, is_video=False, is_hq=False):
    counts, showo = config.dataset.preprocessing, config.model.showo
    assert counts.num_t2i_image_tokens == counts.num_mmu_image_tokens == 101, "the time is one token, added once"
    names = ("bos_id", "eos_id", "boi_id", "eoi_id", "bov_id", "eov_id", "img_pad_id", "vid_pad_id")
    words = counts.max_seq_length - counts.num_t2i_image_tokens - 4
    return (
        counts.num_t2i_image_tokens,
        counts.num_mmu_image_tokens,
        counts.num_video_tokens,
        counts.max_seq_length,
        words,
        showo.image_latent_dim,
        showo.patch_size,
        counts.latent_width,
        counts.latent_height,
        text_tokenizer.pad_token_id,
        *(showo_token_ids[name] for name in names),
        config.transport.guidance_scale,
    )
