"""One thread for small work.

The threads of torch and of linear algebra libraries wait for each other by spinning. On matrices as
small as here that gains little, and beside other programs (a second notebook, a class on one
server) it costs a hundred times what the second core gives: the thread that all wait for is not
running. Where the work splits well, `pixels.describe` shares it out among threads of its own.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager:
    """Context in which torch and linear algebra, called from this thread, use one thread."""
    return _thread_pools().limit(limits=1)


@lru_cache(maxsize=1)
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()  # looking the libraries up takes longer than a small block
