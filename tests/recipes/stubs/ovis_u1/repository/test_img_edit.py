def pipe_img_edit(model, input_img, prompt, steps, txt_cfg, img_cfg, seed=42):
    assert input_img.mode == "RGB"
    height, width = model.get_visual_tokenizer().smart_resize(input_img.height, input_img.width, factor=32)
    return model.draw("<image>\n" + prompt.strip(), [input_img], (width, height), seed, txt_cfg, img_cfg)
