"""A scripted model and a server for it: lectures and tests without a network. Always called so.

`ScriptedVlm` is told the truth of each photo and says it with stated chances, level by level; where
it misses it names a neighbour of the truth, and its words of confidence know a little. It shows
what prompts, parsing and back-off do with *given* knowledge, not that a prompt adds any.

`serving` puts any back-end behind a real HTTP server on this machine, which speaks the part of
OpenAI's protocol that `geolab.vlm.endpoint` uses.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from geolab.vlm.asking import Message, Reply
from geolab.vlm.atlas import Atlas
from geolab.vlm.prompts import LEVELS


def photo_key(image: Image.Image) -> str:
    """What a scripted model knows a photo by: its look, coarse enough to survive JPEG."""
    tiny = np.asarray(image.convert("L").resize((8, 8), Image.Resampling.BOX), float)
    return hashlib.sha256((tiny // 24).astype(np.uint8).tobytes()).hexdigest()[:16]


def numbered_photo(number: int) -> Image.Image:
    """Picture of a number in black and white squares, whose key survives JPEG: for experiments."""
    bits = [(number >> i) & 1 for i in range(16)] * 4
    squares = np.array(bits, np.uint8).reshape(8, 8) * 200 + 20
    return Image.fromarray(np.kron(squares, np.ones((8, 8), np.uint8))).convert("RGB")


@dataclass(frozen=True)
class ScriptedVlm:
    """Back-end that knows the answers, with stated chances.

    Attributes
    ----------
    truths : mapping of str to int
        Row of the atlas (a city or a quarter) by `photo_key`.
    atlas : Atlas
    chances : tuple of float
        To be right about country, city given country, neighbourhood given city.
    knows_itself : float
        How much more often "high" is said when right than when wrong, 0 to 1.
    refuses, babbles, misspells : float
        Shares of photos that are refused or answered in prose, and of leaf names spelt wrong.
    """

    truths: Mapping[str, int]
    atlas: Atlas = field(repr=False)
    chances: tuple[float, float, float] = (0.85, 0.62, 0.5)
    knows_itself: float = 0.5
    refuses: float = 0.0
    babbles: float = 0.0
    misspells: float = 0.08
    seed: int = 0
    name: str = "scripted model"

    def __call__(self, image: Image.Image, messages: Sequence[Message]) -> Reply:
        """Answer in the form that the last message asks for."""
        asked, key = messages[-1].text, photo_key(image)
        draw = random.Random(f"{self.seed} {key}")  # the same knowledge whatever the question
        if draw.random() < self.refuses:
            return _counted("I'm sorry, I can't help with that.", asked)
        if draw.random() < self.babbles:
            return _counted("What a lovely street! It reminds me of my holidays.", asked)
        if key not in self.truths:
            return _counted('{"country": null, "refused": false}', asked)
        believed = self._believe(self.truths[key], draw)
        if '"latitude": number' in asked:
            lat, lon = self.atlas.latlon[believed["row"]]
            return _counted(
                f'Let me think.\n{{"latitude": {lat:.4f}, "longitude": {lon:.4f}}}', asked
            )
        if '"place"' in asked:
            parts = [believed[name]["value"] for name in ("neighborhood", "city", "country")]
            return _counted(json.dumps({"place": ", ".join(filter(None, parts))}), asked)
        levels = [name for name in LEVELS if f'"{name}": {{"value"' in asked]
        said: dict[str, Any] = {name: believed[name] for name in levels}
        return _counted(f"```json\n{json.dumps(said | {'refused': False})}\n```", asked)

    def _believe(self, truth: int, draw: random.Random) -> dict[str, Any]:
        """What is believed of a photo: right or wrong level by level, wrong once wrong for good."""
        places = self.atlas.places
        parent = int(places["parent"].iloc[truth])
        city, quarter = (truth, None) if parent < 0 else (parent, truth)
        rights = [draw.random() < chance for chance in self.chances]
        country = places["country"].iloc[city]
        if not rights[0]:
            country = draw.choice([c for c in self.atlas._by_country if c != country])
        siblings = [int(r) for r in self.atlas.largest(country, 10_000) if r != city]
        if not all(rights[:2]):
            city, quarter = draw.choice(siblings or [city]), None
        leaves = np.flatnonzero(places["parent"].to_numpy() == city)
        if len(leaves) and not (quarter is not None and rights[2]):
            quarter = int(draw.choice([r for r in leaves if r != quarter] or list(leaves)))
        names = {code: name for name, code in self.atlas.countries.items()}
        said = {"country": names.get(country, country), "city": str(places["name"].iloc[city])}
        leaf = "" if quarter is None else str(places["name"].iloc[quarter])
        if leaf and draw.random() < self.misspells:
            leaf = leaf[::-1]
        said["neighborhood"] = leaf
        row = city if quarter is None else quarter
        out: dict[str, Any] = {"row": row}
        for level, right in zip(LEVELS, (*rights, False), strict=True):
            right = right and all(rights[: LEVELS.index(level)])
            sure = draw.random() < (0.5 + (0.5 if right else -0.5) * self.knows_itself)
            value = said.get(level) or None
            out[level] = {"value": value, "confidence": "high" if sure else "low", "evidence": []}
        return out


def _counted(text: str, asked: str) -> Reply:
    return Reply(text, tokens_in=len(asked.split()), tokens_out=len(text.split()))


@contextmanager
def serving(ask: Any) -> Iterator[str]:
    """Serve a back-end on this machine: gives the address for `Endpoint`.

    Examples
    --------
    >>> with serving(lambda image, messages: Reply("hello")) as address:
    ...     address.startswith("http://127.0.0.1:")
    True
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            image, messages = _unpack(body["messages"])
            reply = ask(image, messages)
            answer = {
                "model": body["model"],
                "choices": [{"message": {"role": "assistant", "content": reply.text}}],
                "usage": {
                    "prompt_tokens": reply.tokens_in,
                    "completion_tokens": reply.tokens_out,
                },
            }
            payload = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _unpack(messages: list[dict]) -> tuple[Image.Image, list[Message]]:
    """Photo and words of a request."""
    image, out = Image.new("RGB", (8, 8)), []
    for message in messages:
        content = message["content"]
        text = content if isinstance(content, str) else ""
        for part in content if isinstance(content, list) else []:
            if part["type"] == "text":
                text += part["text"]
            else:
                data = part["image_url"]["url"].split(",", 1)[1]
                image = Image.open(io.BytesIO(base64.b64decode(data)))
        out.append(Message(message["role"], text))
    return image, out
