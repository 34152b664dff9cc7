import json
from pathlib import Path


class DictConfig(dict):
    """Keys as attributes, as deep as they go."""

    def __getattr__(self, name):
        return self[name]

    def __setattr__(self, name, value):
        self[name] = value


class OmegaConf:
    @staticmethod
    def load(path):
        return json.loads(Path(path).read_text(), object_hook=DictConfig)  # JSON is YAML, too
