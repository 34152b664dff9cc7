from types import SimpleNamespace

BnbQuantizationConfig = SimpleNamespace


def load_and_quantize_model(model, weights_location, bnb_quantization_config, device_map, offload_folder):
    return model
