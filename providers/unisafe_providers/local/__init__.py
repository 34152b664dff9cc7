"""Models on this machine: each one in a process of its own, fed in batches.

    LocalProvider (provider.py)      one model behind `call`, as every provider; loads at the first call, gives memory back
      WorkerProcess (process.py)     one process on one device, and the calls that wait for it
        worker.py                    that process: a pool of requests, batches (batches.py), an engine
          loading.py                 transformers: which engine runs a model
          language.py, unified.py    transformers: text, images in, images out
          rows.py, image_tokens.py   a batch's rows, each to its own end; how long images are
          pipeline.py                diffusers: images out, edits
          device.py                  the device as torch sees it
          gguf_loading.py            GGUF files, and the copies of them that are kept (gguf_copies.py)
          telling.py                 how far downloads and loading are
      weights.py, hub.py             which files a model has, which are missing, what identifies them; checkpoint.py: what they need

Which GPUs there are, and which of them a process sees, is in unisafe_providers/gpus.py.
A process of its own keeps torch off the event loop, gives back all memory when it ends, and takes nothing with it when it dies.
Nothing of torch is imported on this side.
"""

from unisafe_providers.local.provider import LocalProvider
from unisafe_providers.local.settings import LocalSettings

__all__ = ["LocalProvider", "LocalSettings"]
