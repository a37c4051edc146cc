"""The contact sheet as a file: complete, coarse, and without what photos tell in secret."""

from __future__ import annotations

import base64
import io
import json
import re

import pytest
from PIL import Image

from geolab.course.render import external_loads
from geolab.data.photos import read_date, read_gps
from geolab.locate_command import References
from geolab.own_photos import in_order, page_html, write_page
from geolab.own_photos.command import locate_album
from geolab.own_photos.jpeg import with_position
from geolab.own_photos.sheet import sha256_of_photo

from .conftest import PARIS, Recognises, exif_block, jpeg

MINE = References("mine.csv", 3, synthetic=False)


@pytest.fixture
def entries(album):
    (album / "d.jpg").write_bytes(b"shopping list")
    return locate_album(in_order(album), Recognises(), MINE)


@pytest.fixture
def page(entries):
    return page_html(entries, "summer <3", ["About & more"])


def held(page):
    return json.loads(re.search(r'id="album">(.*?)</script>', page, re.DOTALL)[1])


def test_photos_come_in_order_with_the_places_that_the_trip_allows(entries):
    names = [entry.photo.name for entry in entries]
    assert names == ["b.jpg", "c.jpg", "a.jpg", "d.jpg"]
    assert [entry.cities[0].name for entry in entries[:3]] == ["Paris", "Lyon", "Paris"]
    assert [city.name for city in entries[1].cities][:2] == ["Lyon", "Sydney"]
    assert entries[0].radius_km == 25
    assert entries[1].radius_km > 10_000  # Sydney is not ruled out
    assert "text, not an image" in entries[3].error
    assert entries[3].cities == ()


def test_the_page_loads_nothing(page):
    assert external_loads(page) == []
    assert "default-src 'none'" in page
    assert not re.search(
        r"https?://|\bfetch\(|XMLHttpRequest|WebSocket|import\(|localStorage", page
    )


def test_pictures_carry_no_exif_and_the_page_no_folder(page, album):
    pictures = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", page)
    assert len(pictures) == 3
    for text in pictures:
        data = base64.b64decode(text)
        assert b"Exif" not in data
        assert read_date(data) is None
        with Image.open(io.BytesIO(data)) as image:
            assert max(image.size) <= 480
    assert "SECRETHOME" not in page
    assert str(album.parent) not in page


def test_places_are_coarse_and_hashes_are_the_files(page, album):
    photos = held(page)["photos"]
    assert photos[1]["sha256"] == sha256_of_photo(album / "c.jpg")[0]
    assert [photo["asked"] for photo in photos] == [True, True, True, False]
    for photo in photos:
        for choice in photo["choices"]:
            assert choice["lat"] == round(choice["lat"], 1)
            assert choice["lon"] == round(choice["lon"], 1)


def test_words_from_outside_are_text(album):
    (album / "<img src=x onerror=alert(1)>.jpg").write_bytes(jpeg())
    page = page_html(locate_album(in_order(album), Recognises(), MINE), "<b>", ["<script>"])
    assert "<img src=x" not in page
    assert "<b>" not in page
    assert page.count("<script") == 3


def test_a_photo_with_gps_is_not_asked_and_helps_its_neighbours(album):
    block = exif_block(taken="2019:07:14 11:50:00")
    where = {"error_m": 10, "method": "test"}
    (album / "k.jpg").write_bytes(with_position(jpeg(exif=block), "k.jpg", *PARIS, **where))
    assert read_gps(album / "k.jpg") == pytest.approx(PARIS)
    entries = locate_album(in_order(album), Recognises(), MINE)
    known = next(entry for entry in entries if entry.photo.name == "k.jpg")
    page = page_html(entries, "t")
    assert "near <strong>Paris" in page
    assert known.known.startswith("Paris")
    assert [p["asked"] for p in held(page)["photos"] if p["file"] == "k.jpg"] == [False]
    assert "48.86" not in page.partition('id="cities"')[0]  # no finer than a city


def test_a_png_is_said_to_get_no_position(album):
    Image.new("RGB", (64, 64), "navy").save(album / "p.png")
    page = page_html(locate_album(in_order(album), Recognises(), MINE), "t")
    assert page.count("Not a JPEG") == 1


def test_a_heic_says_what_to_do_and_is_not_asked(album):
    (album / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    entries = locate_album(in_order(album), Recognises(), MINE)
    (phone,) = (entry for entry in entries if entry.photo.name == "phone.HEIC")
    assert phone.error.startswith("phone.HEIC: a HEIC photo; pip install pillow-heif")
    assert [p["asked"] for p in held(page_html(entries, "t"))["photos"]].count(False) == 1


def test_pages_end_in_html(entries, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.html"):
        write_page(entries, tmp_path / "album.png", "t")
    assert write_page(entries, tmp_path / "new" / "album.html", "t").stat().st_size > 500_000
