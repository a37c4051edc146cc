"""Back-ends against a real server on this machine; what leaves it, and what never does."""

import base64
import io
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from geolab.vlm import asking
from geolab.vlm.asking import AskError, Message, Reply, consent, travelling_jpeg
from geolab.vlm.cache import Cached
from geolab.vlm.endpoint import Endpoint
from geolab.vlm.pipeline import Local
from geolab.vlm.prompts import four_levels
from geolab.vlm.scripted import serving

KEY = "sk-secret-of-the-lecturer"


@contextmanager
def server(answer):
    """Serve ``answer(handler, body)``; gives the address and what was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, dict(self.headers), body))
            answer(self, len(asked))

        def log_message(self, *_):
            pass

    host = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=host.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{host.server_port}/v1", asked
    finally:
        host.shutdown()
        host.server_close()


def says(status, payload, **headers):
    def answer(handler, _):
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def chat(text):
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return {"choices": [{"message": {"content": text}}], "usage": usage}


@pytest.fixture
def photo(tmp_path):
    """A photo whose file says where it was taken."""
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    exif[0x010F] = "CameraOfSomebody"
    path = tmp_path / "photo.jpg"
    picture = np.random.default_rng(0).integers(0, 255, (1300, 2000, 3), np.uint8)
    Image.fromarray(picture).save(path, exif=exif, comment=b"at home")
    return Image.open(path)


def test_nothing_but_pixels_travels(photo):
    sent = travelling_jpeg(photo)
    got = Image.open(io.BytesIO(sent))
    assert max(got.size) == 1024
    assert not got.getexif()
    assert b"CameraOfSomebody" not in sent
    assert b"Exif" not in sent
    assert b"at home" not in sent
    assert photo.size == (2000, 1300)  # theirs stays as it was


def test_a_request_is_what_openai_defines(photo, monkeypatch):
    monkeypatch.setenv("GEOLAB_VLM_KEY", KEY)
    with server(says(200, chat("Peru"))) as (address, asked):
        ask = Endpoint(address, "some-model", max_tokens=55)
        reply = ask(photo, four_levels())
    assert (reply.text, reply.tokens_in, reply.tokens_out) == ("Peru", 7, 3)
    path, headers, body = asked[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("some-model", 0, 55)
    system, user = body["messages"]
    assert system["role"] == "system"
    text, image = user["content"]
    assert text["type"] == "text"
    kind, data = image["image_url"]["url"].split(",")
    assert kind == "data:image/jpeg;base64"
    assert not Image.open(io.BytesIO(base64.b64decode(data))).getexif()


def test_the_key_is_nowhere_to_be_read(photo, monkeypatch, tmp_path):
    monkeypatch.setenv("GEOLAB_VLM_KEY", KEY)
    with server(says(400, f"your key {KEY} is odd".encode())) as (address, _):
        ask = Endpoint(address, "m")
        with pytest.raises(AskError) as error:
            ask(photo, four_levels())
        assert KEY not in str(error.value) + repr(ask)
    with server(says(200, chat("x"))) as (address, _):
        Cached(Endpoint(address, "m"), tmp_path)(photo, four_levels())
    for file in tmp_path.glob("*.json"):
        text = file.read_text()
        assert KEY not in text
        assert "127.0.0.1" not in text


@pytest.mark.parametrize(
    ("answer", "means"),
    [
        (says(500, b"boom"), "answered 500"),
        (says(429, b"slow down"), "answered 429"),
        (says(401, b"no"), "refused the key; set GEOLAB_VLM_KEY"),
        (says(404, b"no such model"), "answered 404: 'no such model'"),
        (says(302, b"", Location="http://127.0.0.1:9/elsewhere"), "answered 302"),
        (says(200, b"<html>not json</html>"), "no chat completion"),
        (says(200, b'data: {"choices": [{"delta"'), "no chat completion"),
        (says(200, {"choices": []}), "no chat completion"),
        (says(200, [1, 2]), "no chat completion"),
        (says(200, {"choices": [{"message": {"content": [1]}}]}), "no chat completion"),
    ],
)
def test_a_server_that_misbehaves_is_described(photo, answer, means):
    with server(answer) as (address, asked):
        with pytest.raises(AskError, match=means):
            Endpoint(address, "m", pause=0.01)(photo, four_levels())
        assert len(asked) == (3 if "500" in means or "429" in means else 1)


def test_a_busy_server_is_asked_again(photo):
    def second_time(handler, n):
        says(503, b"")(handler, n) if n < 2 else says(200, chat("there"))(handler, n)

    with server(second_time) as (address, _):
        assert Endpoint(address, "m", pause=0.01)(photo, four_levels()).text == "there"


def test_a_slow_or_absent_server(photo):
    release = threading.Event()
    with server(lambda handler, n: release.wait(5)) as (address, _):
        with pytest.raises(AskError, match=r"did not answer within 0\.2 s"):
            Endpoint(address, "m", timeout=0.2)(photo, four_levels())
        release.set()
    with pytest.raises(AskError, match="can't be reached"):
        Endpoint(address, "m")(photo, four_levels())


@pytest.mark.parametrize("url", ["localhost:11434", "ftp://x/v1", "http://"])
def test_addresses_are_checked(url):
    with pytest.raises(ValueError, match="is no address"):
        Endpoint(url, "m")


def test_a_password_in_the_address_is_refused():
    with pytest.raises(ValueError, match="environment variable") as error:
        Endpoint("https://me:hunter2@host/v1", "m")
    assert "hunter2" not in str(error.value)


def test_consent_is_asked_once_and_only_for_others(monkeypatch):
    monkeypatch.setattr(asking, "_AGREED", set())
    monkeypatch.delenv("GEOLAB_SEND_PHOTOS_TO", raising=False)
    for host in ("localhost:11434", "127.0.0.1:8000", "[::1]:8000"):
        consent(host, ask=False)
    with pytest.raises(AskError, match=r"GEOLAB_SEND_PHOTOS_TO=api\.example\.org"):
        consent("api.example.org", ask=False)
    for host in ("localhost.example.org", "[::ffff:8.8.8.8]:80", "127.0.0.1.example.org"):
        with pytest.raises(AskError):  # names that only begin like this machine's
            consent(host, ask=False)
    questions = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda text: questions.append(text) or "yes")
    consent("api.example.org")
    consent("api.example.org")
    assert len(questions) == 1
    assert "api.example.org" in questions[0]
    monkeypatch.setattr("builtins.input", lambda text: "no")
    with pytest.raises(AskError, match="nothing was sent"):
        consent("other.example.org")
    monkeypatch.setenv("GEOLAB_SEND_PHOTOS_TO", "a.example.org, b.example.org")
    consent("b.example.org", ask=False)


def test_without_consent_nothing_is_sent(photo, monkeypatch):
    monkeypatch.setattr(asking, "_AGREED", set())
    monkeypatch.setattr(
        "requests.post", lambda *a, **k: pytest.fail("a photo left the machine without consent")
    )
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(AskError, match="photos would be sent to"):
        Endpoint("https://api.example.org/v1", "m")(photo, four_levels())


def test_an_answer_is_paid_for_once(photo, tmp_path):
    class Counting:
        name = "counting"
        n = 0

        def __call__(self, image, messages):
            Counting.n += 1
            return Reply(f"answer {Counting.n}", 3, 4, 0.5)

    ask = Cached(Counting(), tmp_path)
    first = ask(photo, four_levels())
    assert ask(photo, four_levels()) == first
    assert (ask.asked, ask.found) == (1, 1)
    assert Cached(Counting(), tmp_path)(photo, four_levels()) == first  # in another session
    ask(photo, [Message("user", "something else")])
    ask(Image.new("RGB", (9, 9)), four_levels())
    assert Counting.n == 3
    kept = json.loads(sorted(tmp_path.glob("*.json"))[0].read_text())
    assert kept["model"] == "counting"
    assert len(kept["prompt"]) == 16
    assert kept["date"].startswith("20")
    for file in tmp_path.glob("*.json"):
        file.write_text("{half")
    ask(photo, four_levels())
    assert Counting.n == 4  # damaged files are asked again


def test_scripted_server_speaks_the_protocol(scripted, photos):
    model = scripted()
    with serving(model) as address:
        reply = Endpoint(address, "scripted")(photos[0], four_levels())
    assert reply.text == model(photos[0], four_levels()).text
    assert reply.tokens_out > 0


def test_local_pipeline_gets_the_photo_once():
    seen = []

    def pipe(text, max_new_tokens, do_sample, return_full_text):
        seen.append((text, max_new_tokens, do_sample))
        return [{"generated_text": "Chile"}]

    ask = Local("some/model", max_tokens=9, make=lambda: pipe)
    talk = [Message("system", "s"), Message("user", "u"), Message("user", "again")]
    assert ask(Image.new("RGBA", (4, 4)), talk).text == "Chile"
    turns, tokens, sample = seen[0]
    assert (tokens, sample) == (9, False)
    photos = [part for turn in turns for part in turn["content"] if part["type"] == "image"]
    assert len(photos) == 1
    assert photos[0]["image"].mode == "RGB"
    with pytest.raises(AskError, match="no text"):
        Local("m", make=lambda: lambda **k: [])(Image.new("RGB", (4, 4)), talk)


def test_transformers_is_named_when_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(AskError, match="pip install transformers"):
        Local("m")(Image.new("RGB", (4, 4)), four_levels())
