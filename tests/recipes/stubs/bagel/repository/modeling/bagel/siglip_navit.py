from types import SimpleNamespace

from .qwen2_navit import Qwen2Config


class SiglipVisionConfig(Qwen2Config):
    pass


class SiglipVisionEmbeddings:
    def convert_conv2d_to_linear(self, config, meta=False):
        assert meta


class SiglipVisionModel:
    def __init__(self, config):
        assert (config.rope, config.num_hidden_layers) == (False, 26)
        self.vision_model = SimpleNamespace(embeddings=SiglipVisionEmbeddings())
