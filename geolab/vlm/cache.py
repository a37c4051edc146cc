"""Answers kept on disk: an answer is paid for once.

Kept are the model's name, the date, the hash of the prompt, the reply and its cost. Of the photo
only a hash of the bytes that were sent; of keys and addresses nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from geolab.data.storage import cache_folder, write_atomic
from geolab.vlm.asking import Ask, Message, Reply, travelling_jpeg


def prompt_hash(messages: Sequence[Message]) -> str:
    """Sixteen hex digits of what was asked."""
    said = json.dumps([asdict(message) for message in messages], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


@dataclass
class Cached:
    """A back-end that asks each question about each photo once.

    Attributes
    ----------
    ask : Ask
    folder : Path
        The cache folder of geolab if not given.
    asked, found : int
        Questions that went to the back-end, and those answered from disk.
    """

    ask: Ask
    folder: Path = field(default_factory=lambda: cache_folder() / "vlm")
    asked: int = 0
    found: int = 0

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.ask.name

    def __call__(self, image: Image.Image, messages: Sequence[Message]) -> Reply:
        """Answer from disk, or ask and keep the answer."""
        photo = hashlib.sha256(travelling_jpeg(image)).hexdigest()
        prompt = prompt_hash(messages)
        key = hashlib.sha256(f"{self.name}\n{prompt}\n{photo}".encode()).hexdigest()[:32]
        path = Path(self.folder) / f"{key}.json"
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            reply = Reply(**kept["reply"])
        except (OSError, ValueError, KeyError, TypeError):
            reply = None
        if reply is not None:
            self.found += 1
            return reply
        reply = self.ask(image, messages)
        self.asked += 1
        kept = {
            "model": self.name,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "prompt": prompt,
            "photo": photo[:16],
            "reply": asdict(reply),
        }
        write_atomic(path, json.dumps(kept, indent=1))
        return reply
