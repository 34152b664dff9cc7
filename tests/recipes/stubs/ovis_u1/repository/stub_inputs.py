import torch


def ask(model, tokenizer, prompt, pictures, kind):
    """What both scripts for words hand to the model; a picture that fails becomes a black one, as in theirs."""
    _, ids, pixels, grids = model.preprocess_inputs(
        prompt,
        pictures,
        generation_preface="",
        return_labels=False,
        propagate_exception=False,
        multimodal_type=kind,
        fix_sample_overall_length_navit=False,
    )
    pixels = None if pixels is None else pixels.to(torch.bfloat16)
    return ids.unsqueeze(0), pixels, (ids != tokenizer.pad_token_id).unsqueeze(0), grids
