"""What a popup shows: text that cannot become markup, and photos that carry no metadata.

Captions come from file names, tables and the internet, so they are hostile until escaped. A photo's
EXIF can hold the place that the lesson asks for, and the name of who took it.
"""

from __future__ import annotations

import base64
import html
import io

import numpy as np
from branca.element import MacroElement
from jinja2 import Template
from PIL import Image

THUMBNAIL_PX = 160

_OUTSIDE_HTML = str.maketrans({"`": "&#96;", "\\": "&#92;", "$": "&#36;", "{": "&#123;"})


class Bubble(MacroElement):
    """Popup and tooltip of a layer as JSON strings: no jQuery, no template literal to break."""

    _template = Template(
        "{% macro script(this, kwargs) %}"
        "{% if this.popup %}{{ this._parent.get_name() }}"
        ".bindPopup({{ this.popup|tojson }}, {maxWidth: 220});{% endif %}"
        "{% if this.tooltip %}{{ this._parent.get_name() }}"
        ".bindTooltip({{ this.tooltip|tojson }});{% endif %}"
        "{% endmacro %}"
    )

    def __init__(self, popup: str = "", tooltip: str = "") -> None:
        super().__init__()
        self._name, self.popup, self.tooltip = "Bubble", popup, tooltip


def escape(text: object) -> str:
    """Text as HTML that cannot become markup, in an attribute or a script template neither.

    Examples
    --------
    >>> escape("<b>'${x}`")
    '&lt;b&gt;&#x27;&#36;&#123;x}&#96;'
    """
    return html.escape(str(text), quote=True).translate(_OUTSIDE_HTML)


def thumbnail_uri(photo: Image.Image | np.ndarray, longest: int = THUMBNAIL_PX) -> str:
    """Small JPEG of a photo as a data URI, from its pixels alone: no EXIF, no profile, no comment.

    Parameters
    ----------
    longest : int
        Longest side in pixels; smaller photos are not enlarged.
    """
    picture = photo if isinstance(photo, Image.Image) else Image.fromarray(np.asarray(photo))
    picture = picture.convert("RGB")
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    bare = Image.fromarray(np.asarray(picture))
    buffer = io.BytesIO()
    bare.save(buffer, format="JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def image_tag(photo: Image.Image | np.ndarray) -> str:
    """Thumbnail with its size, so that the popup knows its own before the picture is decoded."""
    height, width = np.asarray(photo).shape[:2]
    scale = min(1.0, THUMBNAIL_PX / max(height, width))
    size = f'width="{max(1, round(width * scale))}" height="{max(1, round(height * scale))}"'
    return f'<img src="{thumbnail_uri(photo)}" {size} alt=""><br>'
