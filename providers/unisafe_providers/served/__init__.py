"""Servers that a run starts, asks and stops: vLLM, SGLang, llama.cpp and their like, each a model of bench.toml with `serve`."""
