import json
from pathlib import Path


class Qwen2Config:
    @classmethod
    def from_json_file(cls, file):
        config = cls()
        vars(config).update(json.loads(Path(file).read_text()))
        return config


class Qwen2ForCausalLM:
    def __init__(self, config):
        assert (config.qk_norm, config.tie_word_embeddings, config.layer_module) == (True, False, "Qwen2MoTDecoderLayer")
