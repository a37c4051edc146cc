"""What the contact sheet says of a photo: its likeliest cities and a circle of uncertainty."""

from __future__ import annotations

import numpy as np

from geolab.cities import CITY_KM, City, cities_only
from geolab.own_photos.trip import Trip
from geolab.posterior import Posterior
from geolab.sphere import great_circle_km


def radius_km(answer: Posterior, centre: np.ndarray, p: float = 0.8) -> np.ndarray:
    """Radius around a point within which an answer has the share p of its weight, (B,) km.

    Not less than `CITY_KM`: an answer to the city can't be finer than one.

    Parameters
    ----------
    answer : Posterior with B rows
    centre : ndarray, shape (B, 2)
        Degrees.

    Examples
    --------
    >>> paris_or_rome = Posterior([[[48.86, 2.35], [41.89, 12.48]]], [[0.7, 0.3]])
    >>> [float(radius_km(paris_or_rome, [[48.86, 2.35]], p)[0].round()) for p in (0.5, 0.8)]
    [25.0, 1106.0]
    """
    km = great_circle_km(np.asarray(centre, float)[:, None], answer.latlon.double()).numpy()
    order = km.argsort(1, kind="stable")
    held = np.take_along_axis(answer.weight.double().numpy(), order, 1).cumsum(1)
    first = (held < p - 1e-9).sum(1).clip(max=answer.support_size - 1)
    far = np.take_along_axis(km, np.take_along_axis(order, first[:, None], 1), 1)[:, 0]
    return np.maximum(far, CITY_KM)


def proposals(trip: Trip, photo: int, top: int = 4) -> tuple[City, ...]:
    """Likeliest cities of a photo, best first."""
    gazetteer, weight = cities_only(), trip.together.weight[photo].numpy()
    best = np.argsort(-weight, kind="stable")[:top]
    out = []
    for i in best[weight[best] > 0]:
        place = gazetteer.places.iloc[int(trip.cities[i])]
        country = gazetteer.country_name(str(place["country"]))
        lat, lon = trip.together.latlon[photo, i].tolist()
        out.append(
            City(str(place["name"]), str(place["region"]), country, lat, lon, float(weight[i]))
        )
    return tuple(out)
