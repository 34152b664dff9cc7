"""A command as a user would write it, standard library only; it misbehaves by words in a request."""

import base64
import json
import os
import pathlib
import struct
import subprocess
import sys
import time
import zlib


def draw(shade):
    rows = b"".join(b"\0" + bytes([shade]) * 4 for _ in range(4))
    pieces = ((b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in pieces
    )


def answer(request, hello):
    text = request["text"]
    if "KILL" in text:
        os.kill(os.getpid(), 9)
    if "HANG" in text:
        time.sleep(60)
    if "ORPHAN" in text:
        apart = "APART" in text
        subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(5)"], start_new_session=apart)
        os._exit(3)
    if "NAP" in text:
        time.sleep(0.2)
    if "REJECT" in text:
        return {"error": "no such thing"}
    if "ODD" in text:
        return {"text": ["a", "list"]}
    if request["kind"] == "chat":
        seen = [os.path.getsize(one["path"]) if "path" in one else len(base64.b64decode(one["data"])) for one in request["images"]]
        told = f"{text} {hello['options'].get('word', '')} {hello['device']} saw {seen}".strip()
        return {"text": told, "usage": {"tokens_in": 3, "tokens_out": 2}}
    if "ECHO" in text:
        return {"images": [one for one in request["images"] if os.path.exists(one["path"])]}
    picture = draw(len(text) % 256)
    if "ELSEWHERE" in text:
        return {"images": [{"path": "/etc/hostname"}]}
    if "LINK" in text:
        path = os.path.join(hello["folder"], "link.png")
        os.symlink("/etc/hostname", path)
        return {"images": [path]}
    if "INLINE" in text:
        return {"images": [{"data": base64.b64encode(picture).decode()}]}
    path = os.path.join(hello["folder"], f"{request['id']}.png")
    pathlib.Path(path).write_bytes(picture)
    return {"images": [{"path": path}], "text": "Here."}


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    print("loading weights: 100%|####|", flush=True)
    hello = json.loads(sys.stdin.readline())["hello"]
    if mode == "silent":
        sys.exit("ImportError: No module named 'showo'")
    if mode == "slow":
        time.sleep(60)
    if mode == "child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print("child", child.pid, file=sys.stderr, flush=True)
    if mode.startswith("{"):
        print(mode, flush=True)
    kinds = hello["options"].get("kinds", ["chat", "image", "edit"])
    batches = mode == "batches"
    print(json.dumps({"ready": True, "kinds": kinds, "batches": batches, "version": mode}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        requests = asked["batch"] if batches else [asked]
        print(f"a batch of {len(requests)}", file=sys.stderr, flush=True)
        too_many = len(requests) > 3
        for request in reversed(requests):
            if "RAW " in request["text"]:
                print(request["text"].split("RAW ")[1].replace("ID", str(request["id"])), flush=True)
                continue
            out = {"error": "CUDA out of memory", "memory": True} if too_many else answer(request, hello)
            print("noise", flush=True)
            print(json.dumps({"id": request["id"], **out}), flush=True)
    if mode == "stays":
        time.sleep(60)


if __name__ == "__main__":
    main()
