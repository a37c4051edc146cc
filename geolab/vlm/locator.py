"""Photos in, answers out: a language model as one more system of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from PIL import Image

from geolab.vlm import prompts
from geolab.vlm.answers import Answer, Belief, locate_guess
from geolab.vlm.asking import Ask, AskError, Reply
from geolab.vlm.atlas import Atlas, gazetteer_atlas
from geolab.vlm.parsing import Guess, parse

Mode = Literal["four levels", "chained", "coordinates", "one name"]
_ASKED = {
    "four levels": prompts.four_levels,
    "coordinates": prompts.coordinates,
    "one name": prompts.one_name,
}


@dataclass(frozen=True)
class VlmLocator:
    """A language model asked for places.

    Attributes
    ----------
    ask : Ask
        Back-end, `geolab.vlm.cache.Cached` or bare.
    mode : {"four levels", "chained", "coordinates", "one name"}
        Least to most in one call or level by level; coordinates, or one address, as baselines.
    max_level : str
        Finest level to answer with.
    """

    ask: Ask
    mode: Mode = "four levels"
    max_level: str = "city"
    atlas: Atlas = field(default_factory=gazetteer_atlas, repr=False)
    belief: Belief = field(default_factory=Belief)

    def __post_init__(self) -> None:
        if self.mode not in ("chained", *_ASKED):
            raise ValueError(f"mode {self.mode!r} must be chained or one of {', '.join(_ASKED)}")
        if self.max_level not in prompts.LEVELS:
            raise ValueError(f"max_level {self.max_level!r} must be one of {prompts.LEVELS}")

    @property
    def name(self) -> str:
        """Name for the table."""
        return f"{self.ask.name}, {self.mode}"

    def answer(self, images: Sequence[Image.Image], *, progress: str = "") -> list[Answer]:
        """Ask about each photo; nothing is left out: what fails is a miss.

        Raises
        ------
        AskError
            If the back-end fails; what was asked before is in the cache, if there is one.
        """
        from tqdm.auto import tqdm

        out = []
        for i, image in enumerate(tqdm(images, desc=progress, disable=not progress)):
            try:
                guess, replies = self._guess(image)
            except AskError as error:
                raise AskError(f"photo {i} of {len(images)}: {error}") from error
            made = locate_guess(guess, self.atlas, max_level=self.max_level, belief=self.belief)
            out.append(replace(made, replies=tuple(replies)))
        return out

    def _guess(self, image: Image.Image) -> tuple[Guess, list[Reply]]:
        if self.mode == "chained":
            return self._chained(image)
        reply = self.ask(image, _ASKED[self.mode]())
        return parse(reply.text), [reply]

    def _chained(self, image: Image.Image) -> tuple[Guess, list[Reply]]:
        """One call a level, as deep as allowed; stops where the model can't tell."""
        known: list[tuple[str, str]] = []
        levels = dict(Guess("answered").levels)
        replies, last = [], Guess("unparsed")
        for level in prompts.LEVELS[: prompts.LEVELS.index(self.max_level) + 1]:
            reply = self.ask(image, prompts.next_level(level, known))
            replies.append(reply)
            last = parse(reply.text)
            if last.outcome != "answered" or last.levels[level].value is None:
                break
            levels[level] = last.levels[level]
            known.append((level, last.levels[level].value))
        if known:
            return Guess("answered", levels, last.point), replies
        return last, replies
