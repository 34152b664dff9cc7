from stub_language import Tokenizer


class ChatTokenizer(Tokenizer):
    def apply_chat_template(self, turns, chat_template, tokenize, add_generation_prompt):
        assert not tokenize
        assert add_generation_prompt
        assert chat_template == "words of the stub"
        return "".join(f"<|start_header_id|>{turn['role']}<|end_header_id|>{turn['content']}<|eot_id|>" for turn in turns)


tokenizer = ChatTokenizer(
    "<|endoftext|>",
    "<|startoftext|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|mdm_mask|>",
    "<|soi|>",
    "<|eoi|>",
    "<|mmu|>",
    "<|t2i|>",
)


class AutoTokenizer:
    @staticmethod
    def from_pretrained(name, padding_side, trust_remote_code):
        assert padding_side == "left"
        return tokenizer
