"""Climate classes of Koeppen and Geiger in plain English.

OSV-5M numbers them 1 to 30, as Beck et al. do ("Present and future Koeppen-Geiger climate
classification maps at 1-km resolution", Scientific Data, 2018); 0 is no climate, as at sea.
"""

from __future__ import annotations

CLASSES = (
    "Af", "Am", "Aw", "BWh", "BWk", "BSh", "BSk", "Csa", "Csb", "Csc", "Cwa", "Cwb", "Cwc", "Cfa",
    "Cfb", "Cfc", "Dsa", "Dsb", "Dsc", "Dsd", "Dwa", "Dwb", "Dwc", "Dwd", "Dfa", "Dfb", "Dfc",
    "Dfd", "ET", "EF",
)  # fmt: skip
_MAIN = {"A": "tropical", "B": "arid", "C": "temperate", "D": "cold", "E": "polar"}
_SECOND = {
    "W": "desert", "S": "steppe", "f": "with rain all year", "m": "with a monsoon",
    "w": "with a dry winter", "s": "with a dry summer", "T": "tundra", "F": "with everlasting ice",
}  # fmt: skip
_THIRD = {"a": "hot", "b": "warm", "c": "short and cool"}


def climate_words(climate: str | float) -> str:
    """Say a climate: words as they are, a class in plain English; "" for 0.

    Raises
    ------
    ValueError
        For a number that no class has.

    Examples
    --------
    >>> climate_words("oceanic"), climate_words(15)
    ('oceanic', 'temperate with rain all year and warm summers')
    >>> climate_words(5), climate_words("29")
    ('arid, cold desert', 'polar tundra')
    """
    if isinstance(climate, str) and not climate.strip().isdigit():
        return climate
    number = int(climate)
    if number == 0:
        return ""
    if number != float(climate) or not 1 <= number <= len(CLASSES):
        raise ValueError(f"climate {climate} is no number of a class, 1 to {len(CLASSES)}")
    code = CLASSES[number - 1]
    main, second = _MAIN[code[0]], _SECOND[code[1]]
    if main == "arid":
        return f"{main}, {'hot' if code[2] == 'h' else 'cold'} {second}"
    if main == "cold" and code.endswith("d"):
        return f"{main} {second} and a severe winter"
    return f"{main} {second}" + (f" and {_THIRD[code[2]]} summers" if len(code) == 3 else "")
