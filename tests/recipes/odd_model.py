"""A model that does what a request's text says, to try the script's side of the protocol; it prints wherever it can."""

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "recipes"))
import unisafe_serve

if "early" not in sys.argv:
    unisafe_serve.take_stdout()
print("noise from Python")
os.system("echo noise from a child")
os.write(1, b'{"id": 1, "text": "noise that looks like an answer"}\n')

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ffff3f0005fe02fe0def46b80000000049454e44"
    "ae426082"
)


class Model:
    model, version, kinds, sees = "odd", "7", ["chat", "image"], True

    def __init__(self, options, device):
        self.options, self.batches = options, "batches" in sys.argv
        self.kinds = options.get("kinds", self.kinds)
        self.parameters = {"device": device, "place": Path("/here"), "guidance": 2.5}
        unisafe_serve.progress("loading 1 of 1")
        if "stubborn" in sys.argv:
            deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
            child = subprocess.Popen([sys.executable, "-S", "-c", deaf], stdout=subprocess.PIPE)
            child.stdout.readline()
            self.parameters["children"] = [child.pid]
        if "children" in sys.argv:
            child = subprocess.Popen(["sleep", "600"])
            orphan = subprocess.run("sleep 600 >/dev/null & echo $!", shell=True, stdout=subprocess.PIPE, check=True)
            threading.Thread(target=time.sleep, args=(600,)).start()
            self.parameters["children"] = [child.pid, int(orphan.stdout)]

    def chat(self, request):
        print("noise in a call")
        text = request.text
        if text == "fail":
            raise KeyError("what was looked for")
        if text == "exit":
            sys.exit("a library leaves")
        if text == "refuse":
            raise unisafe_serve.Rejected("not with me")
        if text == "later":
            raise unisafe_serve.TryAgain("the disk is busy")
        if text == "memory":
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if text == "lost":
            raise RuntimeError("CUDA error: device-side assert triggered")
        if text == "steal":
            return "a child read {!r}".format(subprocess.run(["cat"], stdout=subprocess.PIPE, check=True).stdout)
        if text == "roll":
            return str(random.random())
        if text == "roll numpy":
            import numpy

            return str(numpy.random.rand())
        if text == "parts":
            return repr((request.system, request.parts, request.max_tokens, request.temperature, request.size))
        if text == "look":
            return " ".join(f"{one.mode} {one.size} {one.getpixel((0, 0))}" for one in request.pictures())
        if text == "files":
            return "\n".join(request.image_files)
        if text == "surrogate":
            return "half \ud83d"
        if text == "all":
            return unisafe_serve.Answer("words", finish="length", thoughts="hm", reason="why", tokens_in=3, tokens_out=4)
        return text.upper()

    def draw(self, request):
        if request.text == "nothing":
            return "I would rather not."
        if request.text == "blank":
            return [b""]
        if request.text == "cut":
            return [PNG[:-20]]
        if request.text == "elsewhere":
            path = Path("elsewhere.png")
            path.write_bytes(PNG)
            return [str(path)]
        if request.text == "jpeg":
            from PIL import Image

            Image.new("RGB", (4, 4), "red").save("picture.jpg")
            return Path("picture.jpg")
        return [PNG, PNG]

    edit = draw

    def answer_batch(self, requests):
        if len({request.kind for request in requests}) > 1:
            raise AssertionError("kinds are mixed")
        if "bad" in [request.text for request in requests]:
            raise ValueError(f"one of {len(requests)} is bad")
        if "memory" in [request.text for request in requests]:
            raise MemoryError
        return [unisafe_serve.Rejected("no") if one.text == "no" else self.chat(one) + f" of {len(requests)}" for one in requests]


if __name__ == "__main__":
    unisafe_serve.run(Model)
