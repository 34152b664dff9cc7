import torch
from stub_language import make_noise


class UniversalPrompting:
    def __init__(
        self,
        text_tokenizer,
        special_tokens=("<|soi|>", "<|eoi|>", "<|sov|>", "<|eov|>", "<|t2i|>", "<|mmu|>", "<|t2v|>", "<|v2v|>", "<|lvg|>"),
        max_text_len=8000,
        max_seq_len=377,
        ignore_id=-100,
        cond_dropout_prob=0.1,
        use_reserved_token=False,
    ):
        make_noise("special tokens are told")
        assert use_reserved_token
        assert max_text_len == 512, "the public code cuts the prompt off at the resolution"
        self.text_tokenizer = text_tokenizer
        names = ("<|soi|>", "<|eoi|>", "<|mmu|>", "<|t2i|>", "<|eot_id|>")
        self.sptids_dict = {name: torch.tensor([text_tokenizer.vocab[name]]) for name in names}

    def __call__(self, input, task, padding=True, config=None):
        (text,), codes = input
        assert task == "t2i_gen"
        ids = self.text_tokenizer(text)["input_ids"]
        self.text_tokenizer.check_prompt(ids)
        row = torch.tensor([[0] * (513 - len(ids)) + ids + [0, *codes[0].tolist(), 0]])
        return row, (row > 0).long()
