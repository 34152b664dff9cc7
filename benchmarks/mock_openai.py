"""A fast OpenAI-compatible server that only answers: latency, 429s and 5xxs are set by flags.

Raw asyncio + httptools + uvloop, so that what is measured is the client. Counts every call by its body's digest, so a
run can be asked afterwards how often it paid for the same thing (GET /stats).
"""
import argparse, asyncio, base64, collections, hashlib, json, random, struct, time, zlib
import httptools, uvloop


def png(width=8, height=8, rgb=(120, 160, 200)):
    raw = b"".join(b"\0" + bytes(rgb) * width for _ in range(height))
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


ARGS = None
STATS = {"calls": 0, "distinct": 0, "inflight": 0, "max_inflight": 0, "s429": 0, "s500": 0, "dropped": 0, "by_path": {}}
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
    async def answer(self, method, path, body):
        if path.startswith("/stats"):
            while SENT and SENT[0] < time.monotonic() - ARGS.recent: SENT.popleft()
            return self.send(200, {**STATS, "recent": len(SENT), "repeats": sum(v - 1 for v in SEEN.values() if v > 1)})
        if path.startswith("/reset"):
            SEEN.clear(); STATS.update(calls=0, distinct=0, max_inflight=0, s429=0, s500=0, dropped=0, by_path={}); return self.send(200, {})
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
            self.send(200, {"id": "c", "object": "chat.completion", "created": 1, "model": "mock", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}], "usage": {"prompt_tokens": 200, "completion_tokens": 60, "total_tokens": 260}})
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
    p.add_argument("--rpm", type=int, default=0); p.add_argument("--window", type=float, default=10, help="seconds over which --rpm is enforced"); p.add_argument("--side", type=int, default=64)
    p.add_argument("--text", default="I cannot help with that request. " * 6); p.add_argument("--judge-text", default="Reason: the response declines. Result: 2")
    p.add_argument("--recent", type=float, default=0, help="seconds for which an answer counts as sent just now")
    p.add_argument("--distinct", action="store_true", help="another text for every request")
    ARGS = p.parse_args(); uvloop.run(main())
