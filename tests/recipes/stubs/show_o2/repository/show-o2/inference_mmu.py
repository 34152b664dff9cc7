raise AssertionError("the script of the public repository is read, never run")

sys_prompt_ids = text_tokenizer("system\nwords of the stub<|im_end|>", add_special_tokens=False)["input_ids"]  # noqa: F821
role_a = text_tokenizer("\n<|im_start|>user\n", add_special_tokens=False)["input_ids"]  # noqa: F821
role_b = text_tokenizer("\n<|im_start|>assistant\n", add_special_tokens=False)["input_ids"]  # noqa: F821
