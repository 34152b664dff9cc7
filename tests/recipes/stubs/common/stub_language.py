"""What the stubs of public models have in common: a tokenizer of letters, an answer that tells what was read, and noise.

A stub reads a prompt as its tokenizer does, and answers `read: ` and what it read: a control string that was understood as one
stands between ⟦ and ⟧, so a test sees whether a user's control string got through. `RUN OUT` in a prompt is a GPU without memory.
"""

import os
import re
import subprocess
import sys

import torch

LETTERS = 1000
"""The token of the letter with number n is LETTERS + n; those below are control strings."""


class Encoding(dict):
    """Token ids by key and by attribute."""

    def __getattr__(self, name):
        return self[name]

    def to(self, device):
        return Encoding({key: value.to(device) for key, value in self.items()})


class Tokenizer:
    """Every letter is a token, and so is every control string."""

    def __init__(self, eos, *control, bos=None, pad=None):
        self.control = []
        self.add(eos, *control, *filter(None, (bos, pad)))
        self.eos_token, self.bos_token, self.pad_token = eos, bos, pad
        self.eos_token_id, self.bos_token_id, self.pad_token_id = map(self.vocab.get, (eos, bos, pad))
        self.chat_template = None

    def add(self, *strings):
        new = [string for string in strings if string not in self.control]
        self.control += new
        return len(new)

    def add_special_tokens(self, named):
        strings = [string for value in named.values() for string in ([value] if isinstance(value, str) else value)]
        return self.add(*strings)

    def add_tokens(self, string):
        return self.add(string)

    def get_vocab(self):
        return self.vocab

    def get_added_vocab(self):
        return self.vocab

    @property
    def vocab(self):
        return {string: number for number, string in enumerate(self.control)}

    def __len__(self):
        return LETTERS + 0x110000

    def encode(self, text, add_special_tokens=True, return_tensors=None):
        vocab = self.vocab
        pattern = "|".join(map(re.escape, sorted(vocab, key=len, reverse=True)))
        parts = re.split(f"({pattern})", text)
        ids = [
            token for part in parts for token in ([vocab[part]] if part in vocab else [LETTERS + ord(letter) for letter in part])
        ]
        return torch.tensor([ids]) if return_tensors else ids

    def __call__(self, text, add_special_tokens=True, return_tensors=None, **_):
        texts = [text] if isinstance(text, str) else text
        ids = [self.encode(one) for one in texts]
        if return_tensors:
            return Encoding(input_ids=torch.tensor(ids), attention_mask=torch.ones(len(ids), len(ids[0]), dtype=torch.long))
        return Encoding(input_ids=ids[0] if isinstance(text, str) else ids)

    def decode(self, ids, skip_special_tokens=False, **_):
        ids = [ids] if isinstance(ids, int) else [int(token) for token in ids]
        return "".join(self.show(token, "{}" if not skip_special_tokens else "") for token in ids)

    def batch_decode(self, rows, skip_special_tokens=False, **_):
        return [self.decode(row, skip_special_tokens) for row in rows]

    def show(self, token, control):
        """A letter, or a control string in the form that is given for it."""
        return chr(token - LETTERS) if token >= LETTERS else control.format(self.control[token])

    def tell(self, ids):
        """What was read, with the control strings that were understood as such marked."""
        return "".join(self.show(token, "⟦{}⟧") for token in map(int, ids))

    def check_prompt(self, ids):
        """Fail where a control string stands in a prompt that has none of its own; run out of memory where the prompt says so."""
        read = self.tell(ids)
        assert "⟦" not in read, f"control strings got through: {read}"
        run_out(read)

    def answer(self, ids, limit, *, sampled=False):
        """The tokens of an answer to a prompt: what was read, with a random number where it is sampled, and the end."""
        read = self.tell(ids)
        run_out(read)
        words = "read: " + read + (f" at random {torch.rand(1).item():.6f}" if sampled else "")
        return [*(LETTERS + ord(letter) for letter in words), self.eos_token_id][:limit]


class Embedding:
    """Tokens as vectors whose first number is the token, so that a stub can read them again; needs float32."""

    def __init__(self, width=4):
        self.width = width

    def __call__(self, ids):
        return torch.nn.functional.pad(ids.unsqueeze(-1).float(), (0, self.width - 1))


def read_again(embedded):
    """The tokens of one row of vectors."""
    return embedded[..., 0].round().long().tolist()


def run_out(words):
    if "RUN OUT" in words:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def describe(picture):
    """A picture as words, for an answer to show: its mode, its size, and the colour of its upper left corner."""
    return f"[{picture.mode} {picture.width}x{picture.height} {picture.convert('RGB').getpixel((0, 0))}]"


def make_noise(where, *, child=False):
    """Print as the public code does, also from below Python and, where asked, from a child process."""
    print(f"stub: {where}")
    sys.stdout.flush()
    os.write(1, f'{{"stub": "{where}, written to descriptor 1"}}\n'.encode())
    if child:
        subprocess.run(["echo", f"stub: {where}, a child process"], check=True)
