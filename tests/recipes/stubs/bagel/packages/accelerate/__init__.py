import os
from contextlib import nullcontext

init_empty_weights = nullcontext


def infer_auto_device_map(model, max_memory=None, no_split_module_classes=None):
    assert max_memory == {"cpu": "80GiB"}
    return {"language_model.model.embed_tokens": "cpu", "vae2llm": "cpu"}


def load_checkpoint_and_dispatch(model, checkpoint, device_map, offload_buffers, offload_folder, dtype, force_hooks):
    assert os.path.isfile(checkpoint), checkpoint
    assert device_map["time_embedder"] == device_map["vit_pos_embed"] == "cpu"
    return model
