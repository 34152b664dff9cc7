from PIL import Image


def pipe_t2i(model, prompt, height, width, steps, cfg, seed=42):
    blank = Image.new("RGB", (width, height), "white")
    return model.draw("<image>\nwords of the stub: " + prompt, [blank], (width, height), seed, cfg)
