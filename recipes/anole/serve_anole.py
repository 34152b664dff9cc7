"""Serve Anole-7b (Chameleon that draws) to unisafe-async: answers text, reads pictures, draws. Options and memory: README.md."""

from __future__ import annotations

import functools
import multiprocessing.connection
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # recipes/, where both files stand

import public_checkout
import unisafe_serve

unisafe_serve.take_stdout()  # the public code starts processes, and they print too

WEIGHTS = "GAIR/Anole-7b-v0.1"
"""Hub id, for weights that are not given: they are taken from the hub's cache, or fetched."""
SIDE, CODES, LONGEST = 512, 1024, 4096
"""A picture's side in pixels, how many codes it has, and how many tokens the model reads and writes in all."""
WATCH_S = 0.2
"""Seconds between two looks for new processes of the model."""
CONTROL = [
    re.compile(r"</?s>|<pad>|<unk>|<mask>|<eoss>|<racm3:break>|<reserved\d+>"),
    re.compile(r"IMGIMG[A-Z]+"),
]
"""Names in the vocabulary of what starts and ends sequences, pictures and turns, and of the codes of pictures."""
DEFAULTS = {
    "temperature": 1.0,
    "top_p": 0.9,
    "repetition_penalty": 1.2,
    "guidance": 3.0,
    "image_guidance": 1.2,
    "drawing_temperature": 0.7,
    "drawing_top_p": 0.9,
    "max_tokens": LONGEST,
}


class Anole:
    """The authors' class for asking the model, which stands in processes of its own."""

    model, version, kinds, sees = "Anole-7b-v0.1", "1", ["chat", "image"], True

    def __init__(self, places, options, device):
        self.options = public_checkout.merge_options(options, DEFAULTS)
        weights = places.weights or download_weights()
        self.parameters = {
            **self.options,
            "code": "GAIR-NLP/anole@" + public_checkout.read_commit(places.checkout),
            "revision": public_checkout.read_revision(weights),
            "dtype": "bfloat16",
            "size": f"{SIDE}x{SIDE}",
            "drawing": "codes of a picture alone, no words",
        }
        public_checkout.enter(places.checkout)
        self._load(Path(weights), device)

    def _load(self, weights, device):
        show_only(device)
        from chameleon.inference.chameleon import ChameleonInferenceModel

        unisafe_serve.progress("loading the model in its own process")
        workers = []
        threading.Thread(target=end_with_the_model, args=(workers,), daemon=True).start()
        tokenizer = weights / "tokenizer"
        self.anole = ChameleonInferenceModel(
            str(weights / "models" / "7b"),
            *(str(tokenizer / name) for name in ("text_tokenizer.json", "vqgan.yaml", "vqgan.ckpt")),
        )
        workers += self.anole.workers

    # --- words

    def chat(self, request):
        from chameleon.inference.chameleon import Options

        pictures = request.pictures()
        said = [{"type": "text", "value": self._clean(request.system) + "\n"}] if request.system else []
        said += [
            {"type": "image", "value": pictures[part["image"]]}
            if "image" in part
            else {"type": "text", "value": self._clean(part["text"])}
            for part in request.parts
        ]
        limit = request.max_tokens or self.options["max_tokens"]
        asked = self._read(said, room=1)
        options = Options(txt=self._choose_sampling(request), img=False, max_gen_len=limit, seed=choose_seed(request))
        tokens = self.anole.generate(batch_input_ids=[asked], options=options).flatten().tolist()
        return unisafe_serve.Answer(
            self.anole.decode_text([tokens])[0],
            finish="stop" if self.anole.vocab.eos_id in tokens else "length",
            tokens_in=len(asked),
            tokens_out=len(tokens),
        )

    def _choose_sampling(self, request):
        """How words are sampled: as the options say, unless the request says otherwise; a temperature of 0 is greedy."""
        from chameleon.inference.chameleon import Options

        temperature = self.options["temperature"] if request.temperature is None else request.temperature
        return Options.Text(
            repetition_penalty=self.options["repetition_penalty"],
            temp=temperature or 1.0,
            top_p=self.options["top_p"] if request.top_p is None else request.top_p,
            greedy=not temperature,
        )

    def _read(self, said, room):
        """The tokens of what is said, and the end of the turn. Raises Rejected where less than `room` tokens are left."""
        tokens = self.anole.token_manager.tokens_from_ui([*said, {"type": "sentinel", "value": "<END-OF-TURN>"}])
        if len(tokens) + room > LONGEST:
            raise unisafe_serve.Rejected(f"the prompt has {len(tokens)} tokens; Anole has {LONGEST}, of which {room} are needed")
        return tokens

    def _clean(self, text):
        return unisafe_serve.break_up(text, CONTROL)

    # --- pictures

    def draw(self, request):
        from chameleon.inference.chameleon import Options

        if request.size not in (None, f"{SIDE}x{SIDE}"):
            raise unisafe_serve.Rejected(f"Anole draws {SIDE}x{SIDE} only, not {request.size}")
        said = [{"type": "text", "value": self._clean(text)} for text in (request.system, request.text) if text]
        drawing = Options.Image(
            cfg=Options.Image.CFG(
                guidance_scale_text=self.options["guidance"], guidance_scale_image=self.options["image_guidance"]
            ),
            temp=self.options["drawing_temperature"],
            top_p=self.options["drawing_top_p"],
        )
        asked, options = self._read(said, room=CODES + 1), Options(txt=False, img=drawing, seed=choose_seed(request))
        codes = self.anole.generate(batch_input_ids=[asked], options=options)
        if codes.numel() != CODES:
            raise unisafe_serve.TryAgain(f"the model wrote {codes.numel()} codes of a picture and stopped; {CODES} are one")
        return self.anole.decode_image(codes)


def choose_seed(request):
    """The request's seed as numpy takes it, or None: the model's process has generators of its own."""
    return None if request.seed is None else request.seed % 2**32


def show_only(device):
    """Let the public code see one GPU, before torch is imported: it takes the first ones that it sees."""
    number = re.fullmatch(r"cuda:(\d+)", device or "")
    if number:
        seen = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
        os.environ["CUDA_VISIBLE_DEVICES"] = seen[int(number[1])] if int(number[1]) < len(seen) else number[1]


def end_with_the_model(workers):
    """End this process when one of the model's has ended: the public code would wait for its answer for ever.

    Args:
        workers: the model's processes, as soon as they are known; while it is loading, all processes below this one count.
    """
    while True:
        watched = [process.sentinel for process in {*workers, *multiprocessing.active_children()}]
        if multiprocessing.connection.wait(watched, timeout=WATCH_S) if watched else time.sleep(WATCH_S):
            print("a process of the model has ended (its memory, or its GPU?): this one ends too", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGTERM)  # unisafe_serve ends the others
            return


def download_weights():
    """The folder of the weights in the hub's cache; what is missing there is downloaded."""
    from huggingface_hub import snapshot_download

    unisafe_serve.progress(f"looking for {WEIGHTS}: what is not in the cache is downloaded")
    return snapshot_download(WEIGHTS)


if __name__ == "__main__":
    unisafe_serve.run(functools.partial(Anole, public_checkout.read_places("weights")))
