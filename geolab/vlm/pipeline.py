"""A model on this machine, through transformers' image-text-to-text pipeline.

``Local("Qwen/Qwen2.5-VL-3B-Instruct")`` should need about 7 GB in half precision, which a Colab T4
holds. It has not been run on a real download: the tests give it a pipeline of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from PIL import Image

from geolab.vlm.asking import AskError, Message, Reply


@dataclass(frozen=True)
class Local:
    """Back-end that runs a model here; no photo leaves the machine.

    Attributes
    ----------
    model : str
        Of the Hugging Face hub, or a folder.
    revision : str
        Commit of the model; give one, so that results can be made again.
    max_tokens : int
    make : callable, optional
        Makes the pipeline; transformers' own if not given.
    """

    model: str
    revision: str = "main"
    max_tokens: int = 700
    make: Callable[[], Any] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Name of the model and its revision."""
        return self.model if self.revision == "main" else f"{self.model}@{self.revision}"

    @cached_property
    def _pipeline(self) -> Any:
        if self.make is not None:
            return self.make()
        try:
            from transformers import pipeline
        except ModuleNotFoundError:
            raise AskError("a local model needs transformers: pip install transformers") from None
        return pipeline(
            "image-text-to-text", model=self.model, revision=self.revision, device_map="auto"
        )

    def __call__(self, image: Image.Image, messages: Sequence[Message]) -> Reply:
        """Ask once, without sampling.

        Raises
        ------
        AskError
            If transformers is not installed or the pipeline returns no text.
        """
        began = time.perf_counter()
        turns, shown = [], False
        for message in messages:
            content: list[dict] = [{"type": "text", "text": message.text}]
            if message.role == "user" and not shown:
                content.insert(0, {"type": "image", "image": image.convert("RGB")})
                shown = True
            turns.append({"role": message.role, "content": content})
        made = self._pipeline(
            text=turns, max_new_tokens=self.max_tokens, do_sample=False, return_full_text=False
        )
        try:
            text = made[0]["generated_text"]
            text = text if isinstance(text, str) else text[-1]["content"]
        except (KeyError, IndexError, TypeError):
            raise AskError(f"{self.model} returned no text: {str(made)[:200]!r}") from None
        return Reply(text, seconds=time.perf_counter() - began)
