"""Small networks on one thread: beside another busy process two threads mostly wait."""

from __future__ import annotations

import pytest

from geolab.encoders.shards import one_thread


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    with one_thread():
        yield
