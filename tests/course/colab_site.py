"""As `sitecustomize` beside a wheel in a fresh environment: Python with no more than Colab holds.

Libraries come from `GEOLAB_TEST_SITE`; what Colab lacks (`GEOLAB_TEST_REFUSED`) is not found there.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder


class _Colab(PathFinder):
    refused = frozenset(os.environ["GEOLAB_TEST_REFUSED"].split(","))

    @classmethod
    def find_spec(cls, name: str, path=None, target=None) -> ModuleSpec | None:
        if name.partition(".")[0] in cls.refused:
            return None
        return super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = _Colab
sys.path += os.environ["GEOLAB_TEST_SITE"].split(os.pathsep)
