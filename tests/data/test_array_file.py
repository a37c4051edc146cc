"""Arrays on disk: they come back as they were, or are refused."""

from __future__ import annotations

import numpy as np
import pytest

from geolab.data.array_file import load_arrays, save_arrays
from geolab.data.errors import DataError

ABOUT = {"kind": "toy", "version": 1}


@pytest.fixture
def stored(tmp_path):
    arrays = {"x": np.arange(6.0).reshape(2, 3), "names": np.array(["é", "b"])}
    return save_arrays(tmp_path / "toy.npz", arrays, about={"k": 3}, **ABOUT), arrays


def test_arrays_come_back(stored):
    path, arrays = stored
    back, about = load_arrays(path, **ABOUT)
    assert about == {"k": 3}
    assert back.keys() == arrays.keys()
    for name in arrays:
        assert np.array_equal(back[name], arrays[name])


@pytest.mark.parametrize("change", [{"kind": "other"}, {"version": 2}])
def test_another_kind_or_version_is_refused(stored, change):
    with pytest.raises(DataError, match="Fit again"):
        load_arrays(stored[0], **ABOUT | change)


def test_damaged_files_are_refused(stored, tmp_path):
    whole = stored[0].read_bytes()
    cases = {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"not an archive at all"}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            load_arrays(tmp_path / name, **ABOUT)
    with pytest.raises(FileNotFoundError):
        load_arrays(tmp_path / "absent.npz", **ABOUT)


def test_changed_content_is_refused(stored):
    path, arrays = stored
    with np.load(path) as old:
        parts = dict(old)
    parts["array_x"] = arrays["x"] + 1
    np.savez(path, **parts)
    with pytest.raises(DataError, match="checksum"):
        load_arrays(path, **ABOUT)


def test_pickled_objects_are_refused(stored, tmp_path):
    path, _ = stored
    with np.load(path) as old:
        parts = dict(old)
    parts["array_x"] = np.array([{"a": 1}], dtype=object)
    np.savez(path, **parts)
    with pytest.raises(DataError, match=r"toy\.npz"):
        load_arrays(path, **ABOUT)
    np.save(tmp_path / "single.npy", np.zeros(3))
    with pytest.raises(DataError, match="single"):
        load_arrays(tmp_path / "single.npy", **ABOUT)


def test_a_failed_write_leaves_the_old_file(stored, monkeypatch):
    path, arrays = stored

    def fail(*_):
        raise OSError("no")

    monkeypatch.setattr("geolab.data.storage.os.replace", fail)
    with pytest.raises(OSError, match="no"):
        save_arrays(path, {"x": arrays["x"] * 2}, **ABOUT)
    assert np.array_equal(load_arrays(path, **ABOUT)[0]["x"], arrays["x"])
    assert [p.name for p in path.parent.iterdir()] == [path.name]
