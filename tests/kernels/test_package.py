"""The kernels package: names are there, lazily, and a file never hides its function."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import geolab.kernels as kernels


@pytest.mark.parametrize("name", kernels.__all__)
def test_every_public_name_is_a_callable(name):
    assert callable(getattr(kernels, name))
    assert name in dir(kernels)


@pytest.mark.parametrize("name", ["topk", "optics"])
def test_a_function_wins_over_the_file_of_the_same_name(name):
    module = importlib.import_module(f"geolab.kernels.{name}")
    assert getattr(kernels, name) is getattr(module, name)


def test_unknown_names_are_missing():
    with pytest.raises(AttributeError, match="no attribute 'acos_of_dot'"):
        _ = kernels.acos_of_dot


def test_importing_the_package_imports_no_kernel():
    code = (
        "import sys, geolab.kernels\n"
        "loaded = [m for m in sys.modules if m.startswith('geolab.kernels.') or m == 'torch']\n"
        "assert not loaded, loaded\n"
        "assert callable(geolab.kernels.haversine_matrix)\n"
        "assert 'geolab.kernels.topk' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
