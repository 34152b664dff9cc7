model = {
    "prompt_template": {
        "SYSTEM": "<|im_start|>system\n{system}<|im_end|>\n",
        "INSTRUCTION": "<|im_start|>user\n{input}<|im_end|>\n<|im_start|>assistant\n",
    },
    "vae": {"ckpt_path": "checkpoints/kl16.ckpt"},
    "llm": {"attn_implementation": "flash_attention_2"},
}
