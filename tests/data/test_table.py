"""Tables: a bad one stops with the line and the fix."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from geolab.data import load
from geolab.data.errors import DataError
from geolab.data.table import read_table

GOOD = "path,latitude,longitude,country\nsub/a.jpg,1.5,2,NA\nsub/b.jpg,-3,4,\n"


@pytest.fixture
def album(tmp_path):
    """Three photos in sub/, and a writer for a csv beside it."""
    (tmp_path / "sub").mkdir()
    for name in "abc":
        buffer = io.BytesIO()
        Image.new("RGB", (16, 12)).save(buffer, "JPEG")
        (tmp_path / "sub" / f"{name}.jpg").write_bytes(buffer.getvalue())

    def write(text: str, name: str = "photos.csv", encoding: str = "utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "path,latitude\nsub/a.jpg,1\n",
            ["missing columns: longitude (longitude or lon", "path, latit"],
        ),
        ("latitude,longitude\n1,2\n", ["missing columns: path (path or image"]),
        ("path;lat;lon\nsub/a.jpg;1;2\n", ["use ';'"]),
        ("path,lat,lon\n", ["a header but no rows"]),
        ("", ["empty"]),
        ("path,lat,lon,lat\nsub/a.jpg,1,2,3\n", ["two columns for"]),
        ("path,lat,latitude,lon\nsub/a.jpg,1,2,3\n", ["two columns for 'latitude'"]),
        (GOOD + "sub/c.jpg,91,0,\n", ["line 4", "latitude 91 is beyond 90", "correct the row"]),
        (GOOD + "sub/c.jpg,1,-181,\n", ["line 4", "longitude -181 is beyond 180"]),
        (GOOD + "sub/c.jpg,0,0.0,\n", ["line 4", "position 0, 0"]),
        (GOOD + "sub/c.jpg,nan,1,\n", ["line 4", "'nan' is not a number"]),
        (GOOD + "sub/c.jpg,inf,1,\n", ["line 4", "'inf' is not a number"]),
        (GOOD + "sub/c.jpg,,1,\n", ["line 4", "'' is not a number"]),
        (GOOD + 'sub/c.jpg,"48,85",1,\n', ["line 4", "'48,85'", "with a point"]),
        (GOOD + "\nIMG_ID,LAT,LON,x\n", ["line 5", "'LAT' is not a number"]),
        (GOOD + "mean,12\n", ["line 4 has 2 fields, the header 4"]),
        (GOOD + "sub/c.jpg,1,2,a,b\n", ["line 4 has 5 fields"]),
        (GOOD + '"sub/c.jpg,1,2,\n', ["line 4", "quotes"]),
        (GOOD + "sub/gone.jpg,1,2,\n", ["1 of 3 image files are absent", "line 4", "gone.jpg"]),
        (GOOD + "sub/a.jpg,1,2,\n", ["lines 2, 4", "one row for each photo"]),
        ("id,path,lat,lon\nx,sub/a.jpg,1,2\nx,sub/b.jpg,1,2\n", ["id 'x'", "lines 2, 3"]),
        ("id,path,lat,lon\n,sub/a.jpg,1,2\n", ["line 2 without an id"]),
    ],
)
def test_a_bad_table_stops_with_line_and_fix(album, text, says):
    path = album(text)
    with pytest.raises(DataError) as caught:
        load(path)
    message = str(caught.value)
    for part in (str(path), "Fix: ", *says):
        assert part in message, message


def test_swapped_columns_are_recognised(album):
    rows = "".join(f"sub/{n}.jpg,{lon},{lat}\n" for n, lon, lat in (("a", 139, 35), ("b", 12, -41)))
    with pytest.raises(DataError, match=r"line 2: latitude 139 .*look swapped"):
        load(album("path,latitude,longitude\n" + rows))


def test_lines_are_counted_as_an_editor_does(album):
    text = 'path,note,lat,lon\nsub/a.jpg,"two\nlines",1,2\n\nsub/b.jpg,x,95,2\n'
    with pytest.raises(DataError, match="line 5: latitude 95"):
        load(album(text))


def test_many_bad_rows_are_not_all_listed(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("lat,lon\n" + "99,1\n" * 50)
    with pytest.raises(DataError, match="lines 2, 3, 4, 5, 6 and 45 more"):
        read_table(path)


def test_not_utf_8(album):
    path = album(GOOD + "sub/c.jpg,1,2,Cura\u00e7ao\n", encoding="latin-1")
    with pytest.raises(DataError, match=r"line 4 is not UTF-8 \(byte 0xe7\).*CSV UTF-8"):
        load(path)
