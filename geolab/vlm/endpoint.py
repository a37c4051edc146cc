"""Any server with OpenAI's ``/v1/chat/completions``: vLLM, Ollama, llama.cpp, or a hosted model.

    ask = Endpoint("http://localhost:11434/v1", "qwen2.5vl:3b")

The key comes from an environment variable, is sent in the header, and is neither printed nor
saved: it is no part of `repr`, of the cache or of an error message.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from PIL import Image

from geolab.vlm.asking import AskError, Message, Reply, consent, travelling_jpeg

_SHOWN = 200
_TRIES = 3


@dataclass(frozen=True)
class Endpoint:
    """Back-end that asks a server.

    Attributes
    ----------
    base_url : str
        Up to and with ``/v1``.
    model : str
    key_variable : str
        Environment variable that holds the key, if the server wants one.
    max_tokens : int
    timeout : float
        Seconds for one answer.
    pause : float
        Seconds before the first new try after a busy server (429, 5xx), doubled each time; three
        tries in all.
    """

    base_url: str
    model: str
    key_variable: str = "GEOLAB_VLM_KEY"
    max_tokens: int = 700
    timeout: float = 120.0
    pause: float = 1.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(
                f"{self.base_url!r} is no address; give one such as http://localhost:11434/v1"
            )
        if parts.username or parts.password:
            raise ValueError(
                "the address holds a password: put the key into an environment variable"
            )

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model

    @property
    def host(self) -> str:
        """Host and port that photos are sent to."""
        return urlsplit(self.base_url).netloc

    def __call__(self, image: Image.Image, messages: Sequence[Message]) -> Reply:
        """Ask once; temperature 0.

        Raises
        ------
        AskError
            If there is no consent, the server can't be reached, is too slow, answers with an error
            three times, or with something that is no chat completion.
        """
        consent(self.host)
        began = time.perf_counter()
        payload = {
            "model": self.model,
            "temperature": 0,
            "max_tokens": self.max_tokens,
            "stream": False,
            "messages": _with_photo(messages, travelling_jpeg(image)),
        }
        answer = self._post(payload)
        return _reply(answer, self.host, time.perf_counter() - began)

    def _post(self, payload: dict) -> requests.Response:
        key = os.environ.get(self.key_variable, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        url = f"{self.base_url.rstrip('/')}/chat/completions"
        for turn in range(_TRIES):
            try:
                # a redirect could carry photo and key to a host nobody agreed to
                answer = requests.post(
                    url, json=payload, headers=headers, timeout=self.timeout, allow_redirects=False
                )
            except requests.Timeout:
                raise AskError(
                    f"{self.host} did not answer within {self.timeout:g} s; "
                    "give a longer timeout or a smaller model"
                ) from None
            except requests.RequestException as error:
                kind = type(error).__name__
                raise AskError(
                    f"{self.host} can't be reached ({kind}); is the server up?"
                ) from None
            if answer.status_code != 429 and answer.status_code < 500:
                break
            if turn < _TRIES - 1:
                time.sleep(self.pause * 2**turn)
        if answer.status_code in (401, 403):
            raise AskError(f"{self.host} refused the key; set {self.key_variable}")
        if not 200 <= answer.status_code < 300:
            said = answer.text[:_SHOWN].replace(key, "***") if key else answer.text[:_SHOWN]
            raise AskError(f"{self.host} answered {answer.status_code}: {said!r}")
        return answer


def _with_photo(messages: Sequence[Message], jpeg: bytes) -> list[dict]:
    """Messages as the server wants them, the photo beside the first words of the user."""
    photo = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    out, sent = [], False
    for message in messages:
        content: str | list = message.text
        if message.role == "user" and not sent:
            sent = True
            content = [
                {"type": "text", "text": message.text},
                {"type": "image_url", "image_url": {"url": photo}},
            ]
        out.append({"role": message.role, "content": content})
    return out


def _reply(answer: requests.Response, host: str, seconds: float) -> Reply:
    """Read a chat completion."""
    try:
        body = answer.json()
        text = body["choices"][0]["message"]["content"] or ""
        usage = body.get("usage") or {}
        counts = [int(usage.get(k) or 0) for k in ("prompt_tokens", "completion_tokens")]
        if not isinstance(text, str):
            raise TypeError
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        said = answer.text[:_SHOWN]
        raise AskError(
            f"{host} answered with something that is no chat completion: {said!r}"
        ) from None
    return Reply(text, *counts, seconds)
