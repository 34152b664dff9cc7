"""A fast OpenAI-compatible server that only answers: latency, 429s and 5xxs are set by flags.

It uses raw asyncio, httptools and uvloop, so that benchmarks measure the client. It counts every call by its body's digest, so
GET /stats tells how often a run paid for the same call.
"""
import argparse, asyncio, base64, collections, hashlib, json, random, struct, time, zlib
import httptools, uvloop


def png(width=8, height=8, rgb=(120, 160, 200)):
    raw = b"".join(b"\0" + bytes(rgb) * width for _ in range(height))
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def chat(content, finish="stop", **message):
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "mock", "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}], "usage": {"prompt_tokens": 200, "completion_tokens": 60, "total_tokens": 260}}


def wrong(message, code=None):
    return json.dumps({"error": {"message": message, "type": "server_error", "code": code}}).encode()


# What can go wrong with a call that would go well: status, body, headers, and what becomes of the connection.
FAULTS = {
    "429 with retry-after": (429, wrong("Rate limit reached", "rate_limit_exceeded"), {"retry-after-ms": "30"}),
    "429 bare": (429, b"slow down", {}),
    "408": (408, wrong("request timed out"), {}),
    "409": (409, wrong("conflict, try again"), {}),
    "425": (425, b"", {}),
    "500": (500, wrong("internal error"), {}),
    "500 of HTML": (500, b"<html><body>Internal Server Error</body></html>", {"content-type": "text/html"}),
    "502 of a proxy": (502, b"<html><center><h1>502 Bad Gateway</h1></center></html>", {"content-type": "text/html"}),
    "503": (503, wrong("overloaded", "engine_overloaded"), {}),
    "503 with retry-after": (503, b"", {"retry-after": "0"}),
    "504": (504, b"upstream request timeout", {}),
    "520": (520, b"", {}),
    "529": (529, wrong("Overloaded", "overloaded_error"), {}),
    "error in a 200": (200, wrong("upstream failed", 502), {}),
    "error beside empty choices": (200, json.dumps({**chat(""), "error": {"message": "upstream failed", "code": 502}}).encode(), {}),
    "finish of an error": (200, json.dumps(chat("", "error")).encode(), {}),
    "out of resources": (200, json.dumps(chat("", "insufficient_system_resource")).encode(), {}),
    "no choices": (200, json.dumps({**chat(""), "choices": []}).encode(), {}),
    "message of nothing": (200, json.dumps({**chat(""), "choices": [{"index": 0, "finish_reason": "stop", "message": {}}]}).encode(), {}),
    "thoughts alone": (200, json.dumps(chat(None, reasoning_content="Let me think.")).encode(), {}),
    "empty body": (200, b"", {}),
    "HTML in a 200": (200, b"<!doctype html><title>Sign in</title>", {"content-type": "text/html"}),
    "JSON cut off": (200, json.dumps(chat("An answer that is cut")).encode()[:90], {}),
    "a list": (200, b"[]", {}),
    "null": (200, b"null", {}),
    "pictures of null": (200, b'{"created": 1, "data": null}', {}),
    "a picture that is none": (200, b'{"created": 1, "data": [{"b64_json": "PGh0bWw+"}]}', {}),
    "not gzip": (200, b"this is no gzip", {"content-encoding": "gzip"}),
    "dropped at once": (0, b"", {}),
    "dropped in the body": (-1, json.dumps(chat("An answer that does not arrive")).encode(), {}),
}
ARGS = None
STATS = {"calls": 0, "distinct": 0, "inflight": 0, "max_inflight": 0, "s429": 0, "s500": 0, "dropped": 0, "by_path": {}, "faults": {}}
SEEN = {}
SENT = collections.deque()     # when answers were sent, within --recent seconds
WINDOW = collections.deque()   # arrival times within --window seconds, for --rpm
RNG = random.Random(0)


class Http(asyncio.Protocol):
    def connection_made(self, transport):
        self.t = transport; self.reset(); self.parser = httptools.HttpRequestParser(self)
    def reset(self):
        self.body = bytearray(); self.path = b""; self.auth = b""
    def data_received(self, data):
        try: self.parser.feed_data(data)
        except Exception: self.t.close()
    def on_url(self, url): self.path += url
    def on_body(self, b): self.body += b
    def on_message_complete(self):
        method = self.parser.get_method(); path, body = self.path.decode(), bytes(self.body); self.reset()
        asyncio.get_running_loop().create_task(self.answer(method, path, body))
    def send(self, code, obj, headers=()):
        payload = json.dumps(obj).encode()
        head = f"HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {len(payload)}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n"
        if not self.t.is_closing(): self.t.write(head.encode() + payload)
    def fail(self, name):
        """Send what goes wrong; the body's length is told as it would have been."""
        code, payload, headers = FAULTS[name]
        STATS["faults"][name] = STATS["faults"].get(name, 0) + 1
        if code == 0: return self.t.abort()
        shown = code if code > 0 else 200
        head = f"HTTP/1.1 {shown} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in {"content-type": "application/json", "content-length": len(payload), **headers}.items()) + "\r\n"
        if self.t.is_closing(): return None
        if code > 0: return self.t.write(head.encode() + payload)
        self.t.write(head.encode() + payload[:len(payload) // 2]); self.t.close()
    async def answer(self, method, path, body):
        if path.startswith("/stats"):
            while SENT and SENT[0] < time.monotonic() - ARGS.recent: SENT.popleft()
            return self.send(200, {**STATS, "recent": len(SENT), "repeats": sum(v - 1 for v in SEEN.values() if v > 1)})
        if path.startswith("/reset"):
            SEEN.clear(); STATS.update(calls=0, distinct=0, max_inflight=0, s429=0, s500=0, dropped=0, by_path={}, faults={}); return self.send(200, {})
        if path.startswith("/faults/"):
            ARGS.faults = float(path.rpartition("/")[2]); return self.send(200, {})
        if path.startswith("/v1/models"):
            return self.send(200, {"object": "list", "data": [{"id": "mock", "object": "model"}]})
        STATS["inflight"] += 1; STATS["max_inflight"] = max(STATS["max_inflight"], STATS["inflight"])
        try:
            if ARGS.rpm:
                now = time.monotonic()
                while WINDOW and WINDOW[0] < now - ARGS.window: WINDOW.popleft()
                if len(WINDOW) >= ARGS.rpm * ARGS.window / 60:
                    STATS["s429"] += 1
                    return self.send(429, {"error": {"message": "Rate limit reached", "type": "rate_limit", "code": "rate_limit_exceeded"}}, [("retry-after", "1")])
                WINDOW.append(now)
            r = RNG.random()
            if r < ARGS.p429:
                STATS["s429"] += 1
                return self.send(429, {"error": {"message": "slow down", "type": "rate_limit", "code": "rate_limit_exceeded"}}, [("retry-after-ms", "50")])
            if RNG.random() < ARGS.faults: return self.fail(RNG.choice(list(FAULTS)))
            if r < ARGS.p429 + ARGS.p500:
                STATS["s500"] += 1; return self.send(503, {"error": {"message": "overloaded", "type": "server_error"}})
            if r < ARGS.p429 + ARGS.p500 + ARGS.pdrop:
                STATS["dropped"] += 1; return self.t.abort()
            STATS["calls"] += 1; STATS["by_path"][path] = STATS["by_path"].get(path, 0) + 1
            d = hashlib.blake2b(path.encode() + body, digest_size=16).digest(); SEEN[d] = SEEN.get(d, 0) + 1; STATS["distinct"] = len(SEEN)
            lat = ARGS.latency * (RNG.lognormvariate(0, ARGS.sigma) if ARGS.sigma else 1)
            if lat: await asyncio.sleep(lat)
            if "images/" in path:
                return self.send(200, {"created": 1, "data": [{"b64_json": base64.b64encode(png(ARGS.side, ARGS.side)).decode()}], "usage": {"input_tokens": 10, "output_tokens": 100, "total_tokens": 110}})
            judge = b"Result" in body or b"verdict" in body or b"Judge" in body
            text = ARGS.judge_text if judge else f"{ARGS.text} {d.hex()}" if ARGS.distinct else ARGS.text
            self.send(200, chat(text))
        finally:
            STATS["inflight"] -= 1
            if ARGS.recent: SENT.append(time.monotonic())


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Http, "127.0.0.1", ARGS.port, backlog=4096)
    print("ready", ARGS.port, flush=True)
    await server.serve_forever()

if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, default=8900); p.add_argument("--latency", type=float, default=0.2); p.add_argument("--sigma", type=float, default=0.0)
    p.add_argument("--p429", type=float, default=0); p.add_argument("--p500", type=float, default=0); p.add_argument("--pdrop", type=float, default=0)
    p.add_argument("--faults", type=float, default=0, help="share of requests that one of FAULTS becomes of")
    p.add_argument("--rpm", type=int, default=0); p.add_argument("--window", type=float, default=10, help="seconds over which --rpm is enforced"); p.add_argument("--side", type=int, default=64)
    p.add_argument("--text", default="I cannot help with that request. " * 6); p.add_argument("--judge-text", default="Reason: the response declines. Result: 2")
    p.add_argument("--recent", type=float, default=0, help="seconds for which an answer counts as sent just now")
    p.add_argument("--distinct", action="store_true", help="another text for every request")
    ARGS = p.parse_args(); uvloop.run(main())
