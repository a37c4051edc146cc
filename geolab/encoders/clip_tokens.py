"""A tokenizer for the small CLIP: open_clip's own, with fewer merges.

CLIP's byte pair encoding is an ordered list of merges. Keeping the first few of them gives a
smaller vocabulary of the same kind: every text can still be written, rare words in more pieces.
The whole one, 49,408 entries, would be nine tenths of a small model's weights.
"""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

_BYTES, _SPECIAL = 512, 2


def small_tokenizer(vocab_size: int, context_length: int):
    """Tokenizer with `vocab_size` entries: ``texts -> (M, context_length)`` int64.

    Raises
    ------
    ValueError
        If the vocabulary could not even hold single bytes.
    """
    from open_clip.tokenizer import SimpleTokenizer, default_bpe

    n_merges = vocab_size - _BYTES - _SPECIAL
    if n_merges < 1:
        raise ValueError(f"vocab_size {vocab_size} must be over {_BYTES + _SPECIAL}")
    lines = gzip.decompress(Path(default_bpe()).read_bytes()).decode().split("\n")
    with tempfile.TemporaryDirectory() as folder:
        short = Path(folder) / "merges.txt.gz"
        short.write_bytes(gzip.compress("\n".join(lines[: n_merges + 1]).encode()))
        return SimpleTokenizer(str(short), context_length=context_length)
