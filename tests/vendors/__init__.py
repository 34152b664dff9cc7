"""Vendors on loopback: each server speaks its vendor's protocol (paths, headers, keys, error shapes) and replies as a test scripts.

async with AnthropicServer(message("Hello.")) as server:
    async with Anthropic("claude-opus-5", server.url, KEY, Capabilities()) as provider: ...
"""

from vendors.server import KEY, Asked, Reply, VendorServer

__all__ = ["KEY", "Asked", "Reply", "VendorServer"]
