"""From a plan of photos to rows with pictures, on several processes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import joblib
import pyarrow as pa

from geolab.data.tinyearth.borders import LEFT_DRIVING
from geolab.data.tinyearth.plain import PLAIN_VIEWS
from geolab.data.tinyearth.scene import Scene, caption
from geolab.data.tinyearth.spots import Spot, describe
from geolab.data.tinyearth.travellers import plan_album, plan_photos

if TYPE_CHECKING:
    import datasets

CHUNK = 200
_TEXT = (
    "id", "country", "region", "sub-region", "city", "captured_at", "sequence", "climate",
    "land_cover", "photographer", "scene", "view", "landmark", "species", "caption",
)  # fmt: skip
_NUMBERS = {
    "latitude": "float64", "longitude": "float64", "heading": "float32", "drive_side": "int8",
    "population": "int64", "month": "int8", "elevation": "float32", "temperature": "float32",
    "precipitation": "float32", "scene_seed": "int64",
}  # fmt: skip


def features() -> datasets.Features:
    """Columns of the data set and their types."""
    import datasets  # late: the painting workers have no use for it

    columns: dict[str, Any] = {"id": datasets.Value("string"), "image": datasets.Image()}
    columns |= {name: datasets.Value(kind) for name, kind in _NUMBERS.items()}
    return datasets.Features(columns | {name: datasets.Value("string") for name in _TEXT})


def make_scene(plan: dict[str, Any], spot: Spot) -> Scene:
    """Scene of one planned photo."""
    clock = plan["captured_at"]
    scene = Scene(
        lat=plan["latitude"],
        lon=plan["longitude"],
        month=plan["month"],
        hour=int(clock[11:13]) + int(clock[14:16]) / 60,
        seed=plan["scene_seed"],
        view=plan["view"],
        species=plan["species"],
        photographer=plan["photographer"],
        spot=spot,
    )
    return scene.turned(plan["turn"])


def _scene_class(view: str, spot: Spot) -> str:
    """Scene class as the field uses it: indoor, natural or urban."""
    if view == "indoor":
        return "indoor"
    return "urban" if spot.density >= 2 and view not in PLAIN_VIEWS else "natural"


def make_row(number: int, seed: int, plan: dict[str, Any], spot: Spot) -> dict[str, Any]:
    """All columns of a photo but what painting adds: heading and picture."""
    kept = ("captured_at", "sequence", "photographer", "species", "month", "view", "scene_seed")
    return {
        "id": f"tinyearth-{seed}-{number:06d}",
        "latitude": spot.lat,
        "longitude": spot.lon,
        "country": spot.country,
        "region": spot.region,
        "sub-region": spot.county,
        "city": spot.city,
        "climate": spot.climate,
        "land_cover": spot.land_cover,
        "drive_side": int(spot.country in LEFT_DRIVING),
        "population": spot.population,
        "elevation": spot.elevation,
        "temperature": spot.temperature,
        "precipitation": spot.precipitation,
        "scene": _scene_class(plan["view"], spot),
        "landmark": spot.landmark.name if plan["view"] == "landmark" and spot.landmark else "",
        "caption": caption(spot, plan["month"], plan["view"], plan["species"]),
        **{name: plan[name] for name in kept},
    }


def paint(jobs: list[tuple[dict[str, Any], Spot]], size: int) -> list[tuple[float, bytes]]:
    """Heading and PNG file of each planned photo. Runs in worker processes."""
    painted = []
    for plan, spot in jobs:
        scene, stream = make_scene(plan, spot), io.BytesIO()
        scene.street(size).save(stream, "PNG", compress_level=1)
        painted.append((scene.heading, stream.getvalue()))
    return painted


def _paint_all(chunks: list[list], size: int, workers: int) -> Iterator[list[tuple[float, bytes]]]:
    """Paint chunks in order, on `workers` processes."""
    if workers == 1:
        yield from (paint(jobs, size) for jobs in chunks)
        return
    # joblib and not multiprocessing: it also works from a script without a __main__ guard.
    pool = joblib.Parallel(
        n_jobs=workers, return_as="generator", batch_size=1, pre_dispatch=2 * workers
    )
    yield from pool(joblib.delayed(paint)(jobs, size) for jobs in chunks)


def _n_workers(n: int) -> int:
    """One process for a small data set, else one a CPU that this process may use."""
    if n < 4 * CHUNK:
        return 1
    return joblib.cpu_count()


def batches(n: int, seed: int, size: int, workers: int | None) -> Iterator[pa.RecordBatch]:
    """The data set, chunk by chunk; the rows do not depend on `workers`."""
    plans = plan_photos(n, seed).to_dict("records")
    spots = describe(*([plan[name] for plan in plans] for name in ("latitude", "longitude")))
    jobs = list(zip(plans, spots, strict=True))
    chunks = [jobs[i : i + CHUNK] for i in range(0, n, CHUNK)]
    schema, done = features().arrow_schema, 0
    for painted in _paint_all(chunks, size, workers or _n_workers(n)):
        rows = [
            make_row(done + i, seed, *jobs[done + i])
            | {"heading": heading, "image": {"bytes": data, "path": None}}
            for i, (heading, data) in enumerate(painted)
        ]
        yield pa.RecordBatch.from_pylist(rows, schema=schema)
        done += len(rows)


def write_stream(target: Any, n: int, seed: int, size: int, workers: int | None) -> None:
    """Write the data set as an Arrow stream to a path or a file object."""
    with pa.ipc.new_stream(target, features().arrow_schema) as writer:
        for batch in batches(n, seed, size, workers):
            writer.write_batch(batch)


def build(
    n: int = 20000, seed: int = 0, size: int = 96, *, workers: int | None = None
) -> datasets.Dataset:
    """Build the synthetic data set in memory; `load_tinyearth` keeps it on disk instead.

    Parameters
    ----------
    n : int
        Number of photos. The first m rows of a larger data set equal the data set of m photos.
    seed : int
        Which photographers. The world is the same for all seeds.
    size : int
        Width and height in pixels.
    workers : int, optional
        Processes; all CPUs by default, one for small data sets. No effect on the result.

    Returns
    -------
    datasets.Dataset
        Columns under OSV-5M's names, see `geolab.data.tinyearth`.

    Raises
    ------
    ValueError
        If n or size is too small.
    """
    import datasets

    check_request(n, size)
    sink = pa.BufferOutputStream()
    write_stream(sink, n, seed, size, workers)
    return datasets.Dataset.from_buffer(sink.getvalue())


def check_request(n: int, size: int) -> None:
    """Refuse impossible sizes.

    Raises
    ------
    ValueError
        If n is under 1 or size under 8.
    """
    if n < 1:
        raise ValueError(f"n is {n}; ask for at least one photo")
    if size < 8:
        raise ValueError(f"size is {size}; ask for 8 pixels or more")


def album(seed: int = 0, length: int = 12) -> list[Scene]:
    """Scenes of one synthetic trip, in order of time.

    Parameters
    ----------
    seed : int
        Which trip.
    length : int
        Number of photos.

    Returns
    -------
    list of Scene
        Neighbours in the list are near one another in space and time. Some carry no cue.

    Raises
    ------
    ValueError
        If length is not positive.
    """
    check_request(length, 8)
    plans = plan_album(seed, length).to_dict("records")
    spots = describe(*([plan[name] for plan in plans] for name in ("latitude", "longitude")))
    return [make_scene(plan, spot) for plan, spot in zip(plans, spots, strict=True)]
