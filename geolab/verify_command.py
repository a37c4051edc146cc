"""``geolab verify PHOTO --claimed LAT,LON``: whether the claimed place is plausible."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geolab.learn_commands import fail

_HELD = 0.35
_FEW = 200


def verify(
    photo: Annotated[Path, typer.Argument(help="The photo in question.")],
    claimed: Annotated[str, typer.Option(help="LAT,LON in degrees, as --claimed=48.86,2.35.")],
    reference: Annotated[
        str, typer.Option(help="Photos with places: CSV, folder, data set or tinyearth.")
    ] = "tinyearth",
    locator: Annotated[str, typer.Option(help="Systems, with commas.")] = "clip",
    n: Annotated[int | None, typer.Option(min=60, help="Take so many references.")] = None,
    seed: Annotated[int, typer.Option(help="Of sampling, split and systems.")] = 0,
) -> None:
    """Ask whether a photo fits the place that somebody claims for it.

    Prints a p-value for each system, calibrated on references kept apart, and the best rivals.
    """
    from geolab.data.photos import read_photo

    try:
        place = parse_place(claimed)
        image = read_photo(photo)
        said, lines = judge_photo(image, place, reference, locator, n, seed)
    except (ValueError, OSError) as error:
        fail(error)
    for line in [*said, *lines]:
        typer.echo(line)


def parse_place(text: str) -> tuple[float, float]:
    """Read "LAT,LON".

    Raises
    ------
    ValueError
        If it is no pair of numbers or not on Earth.

    Examples
    --------
    >>> parse_place(" -33.9, 18.4")
    (-33.9, 18.4)
    """
    parts = text.replace(";", ",").split(",")
    try:
        lat, lon = (float(part) for part in parts)
    except ValueError:
        raise ValueError(
            f"--claimed {text!r}: give LAT,LON in degrees, such as 48.86,2.35"
        ) from None
    if not (abs(lat) <= 90 and abs(lon) <= 180):
        hint = " (latitude comes first)" if abs(lon) <= 90 and abs(lat) <= 180 else ""
        raise ValueError(f"--claimed {text!r} is not on Earth{hint}")
    return lat, lon


def judge_photo(
    image, place: tuple[float, float], reference: str, locator: str, n: int | None, seed: int
) -> tuple[list[str], list[str]]:
    """What to print: what the opinion rests on, and the opinion."""
    from geolab.data.loading import load
    from geolab.data.splits import split_by
    from geolab.locate_command import TINYEARTH_PHOTOS
    from geolab.locators.table_systems import SINGLE, fit_locator
    from geolab.verify import calibrated, verdict
    from geolab.verify import verify as ask

    names = list(dict.fromkeys(locator.split(",")))
    unknown = [name for name in names if name not in SINGLE]
    if unknown:
        raise ValueError(f"no locator {unknown[0]!r}; there are: {', '.join(SINGLE)}")
    synthetic = reference == "tinyearth"
    photos = load(reference, n=n or (TINYEARTH_PHOTOS if synthetic else None), seed=seed)
    by = [c for c in ("photographer", "source") if c in photos.column_names][:1]
    shares = {"fit": 1 - _HELD, "held": _HELD}
    parts = split_by(photos, by=(*by, "place"), fractions=shares, seed=seed, drop_near=True)
    fit, held = parts["fit"], parts["held"]
    judges = []
    for name in names:
        system = fit_locator(name, fit, seed)
        judges.append(calibrated(name, system.locate, held, seed))
    opinions = ask(image, place, judges)
    about = [_about(reference, len(fit), len(held), synthetic)]
    if len(judges[0].known) < _FEW:
        about.append(f"Only {len(judges[0].known)} photos to compare with: p-values are coarse.")
    about.append(f"Compared with {judges[0].counted}.")
    lines = []
    for opinion in opinions:
        lines.append(f"{opinion.system}: p = {opinion.p:.3f}. It would rather say:")
        lines += [f"  {city}" for city in opinion.rivals]
    return about, [*lines, verdict(opinions)]


def _about(reference: str, n_fit: int, n_held: int, synthetic: bool) -> str:
    kind = "synthetic (rendered)" if synthetic else "real"
    text = f"Reference set: {reference}, {n_fit:,} {kind} photos, {n_held:,} more to calibrate on."
    if synthetic:
        text += " A real photo has no counterpart in it: take the p-value as an exercise."
    return text + " The p-value holds for photos of the same kind only."
