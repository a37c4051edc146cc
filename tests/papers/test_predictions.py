"""Prediction files as people write them."""

from __future__ import annotations

import numpy as np
import pytest

from geolab.data.errors import DataError
from geolab.papers.predictions import read_predictions


def written(tmp_path, text, name="preds.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


@pytest.mark.parametrize(
    "header",
    [
        "id,lat,lon",
        "img_id,latitude,longitude",
        "IMG_ID,LAT,LNG",
        "Image ID,Pred Lat,Pred Lng",
        "filename;predicted_latitude;predicted_longitude",
        "path\tlat_pred\tlong_pred",
        "name,Latitude (deg),Longitude (deg)",
    ],
)
def test_columns_are_found_by_their_names(tmp_path, header):
    mark = max(",;\t", key=header.count)
    read = read_predictions(written(tmp_path, f"{header}\na{mark}48.9{mark}2.4\n"))
    assert read.photo == ("a",)
    np.testing.assert_array_equal(read.latlon, [[48.9, 2.4]])


def test_predicted_is_taken_before_true_and_order_does_not_matter(tmp_path):
    text = "gt_lat,gt_long,pred_long,pred_lat,lat,lon,img_id\n1,2,30,40,5,6,a\n"
    read = read_predictions(written(tmp_path, text))
    np.testing.assert_array_equal(read.latlon, [[40, 30]])


def test_columns_can_be_named(tmp_path):
    path = written(tmp_path, "a,b,c\nx,10,20\n")
    with pytest.raises(DataError, match="no column for the photo"):
        read_predictions(path)
    read = read_predictions(path, photo="a", lat="c", lon="b")
    np.testing.assert_array_equal(read.latlon, [[20, 10]])
    with pytest.raises(DataError, match="no column 'd'; it has: a, b, c"):
        read_predictions(path, photo="d")


def test_two_columns_for_one_thing_are_not_guessed(tmp_path):
    path = written(tmp_path, "id,pred_lat,predicted_lat,lon\na,1,2,3\n")
    with pytest.raises(DataError, match=r"'pred_lat' and 'predicted_lat'.*--latitude"):
        read_predictions(path)


def test_failures_are_rows_not_errors(tmp_path):
    rows = ["a,,2", "b,nan,2", "c,None,2", "d,north,2", "e,91,2", "f,1,-180.5", "g,inf,0", "h,1"]
    read = read_predictions(written(tmp_path, "\n".join(["id,lat,lon", *rows, "i,-90,180"])))
    assert read.reason == (
        "empty", "NaN", "NaN", "not a number", "out of range", "out of range", "out of range",
        "empty", "",
    )  # fmt: skip
    assert np.isnan(read.latlon[:8]).all()
    assert read.failures["out of range"] == 3
    assert read.line == tuple(range(2, 11))


def test_a_tail_is_passed_over_and_said(tmp_path):
    text = "IMG_ID,lat,lon\na,1,2\n\nb,3,4\n,5,6\n\nimg_id,1km,25km\nmean,10,20\n"
    read = read_predictions(written(tmp_path, text))
    assert read.photo == ("a", "b")
    assert read.line == (2, 4)
    assert read.passed_over == (
        "line 5: no photo is named",
        "from line 7: a second header and what follows it",
    )


def test_a_byte_order_mark_and_quotes_are_no_matter(tmp_path):
    path = written(tmp_path, '\ufeff"id","lat","lon"\n"a,b","1","2"\n')
    assert read_predictions(path).photo == ("a,b",)


def test_own_distances_are_kept_apart(tmp_path):
    read = read_predictions(written(tmp_path, "id,lat,lon,distance_km\na,1,2,7.5\nb,1,2,\n"))
    assert read.columns["distance"] == "distance_km"
    np.testing.assert_array_equal(read.stated_km, [7.5, np.nan])


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "empty"), ("id,lat,lon\n", "no prediction below the header"), ("x\n1\n", "no column")],
)
def test_what_is_no_prediction_file_is_said(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read_predictions(written(tmp_path, text))


def test_files_that_are_not_there_or_not_text(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_predictions(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"id,lat,lon\n\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_predictions(tmp_path / "binary.csv")
