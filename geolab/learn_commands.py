"""Commands that train or embed: `geolab ablation`, `geolab embed`, `geolab pretrain`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer


def fail(error: Exception) -> NoReturn:
    """End with the message alone; what the user has to change stands in it."""
    typer.secho(str(error), fg="red", err=True)
    raise typer.Exit(2)


def ablation(
    n: Annotated[int, typer.Option(min=200, help="TinyEarth photos, painted four times.")] = 4000,
    seed: Annotated[int, typer.Option(help="Of sampling, training and intervals.")] = 0,
    json_: Annotated[Path | None, typer.Option("--json", help="Write our rows here.")] = None,
) -> None:
    """Take PIGEON apart, part by part, on synthetic photos; the paper's table stands beside."""
    from geolab.ablation import run_ablation
    from geolab.papers.provenance import write_environment
    from geolab.rows import write_rows
    from geolab.tables import print_table

    typed = shlex.join(["geolab", *sys.argv[1:]])
    try:
        made = run_ablation(n, seed, command=typed, say=typer.echo)
    except (ValueError, OSError) as error:
        fail(error)
    print_table(made.rows)
    print_table(made.published)
    typer.echo("each row lacks its part and all parts named above it: no row is an effect alone")
    typer.echo(f"{made.seconds:.0f} s")
    if json_:
        typer.echo(f"rows: {write_rows(made.rows, json_)}")
    beside = json_ or Path("build") / "ablation.json"
    typer.echo(f"environment: {write_environment(beside, typed)}")


def embed(
    source: Annotated[str, typer.Argument(help="CSV, folder, fetched data set or tinyearth.")],
    out: Annotated[Path, typer.Option(help="Folder of the shards.")],
    model: Annotated[
        str, typer.Option(help="tiny, ViT-B-32, ViT-L-14-336, StreetCLIP ...")
    ] = "tiny",
    weights: Annotated[str | None, typer.Option(help="A safetensors file, or random.")] = None,
    feature: Annotated[str, typer.Option(help="image or tokens.")] = "image",
    n: Annotated[
        int | None,
        typer.Option("--n", "--take", min=1, help="Take so many photos; torchrun wants --take."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the choice.")] = 0,
    rows_per_shard: Annotated[int, typer.Option(min=1, help="Photos in a file.")] = 2048,
) -> None:
    """Embed photos with a CLIP, in shards; a run that was cut off goes on, torchrun shares it."""
    import torch

    from geolab.data.loading import load
    from geolab.encoders.clip import load_clip
    from geolab.encoders.shards import write_embeddings

    try:
        photos = load(source, n=n, seed=seed)
        torch.manual_seed(seed)
        clip = load_clip(model, weights=weights)
        write_embeddings(
            clip, photos, out, feature=feature, rows_per_shard=rows_per_shard, progress="embedding"
        )
    except (ValueError, OSError) as error:
        fail(error)
    said = "synthetic photos only" if clip.synthetic else "real photos"
    typer.echo(f"{len(photos):,} photos, {clip.name} {clip.weights_hash} ({said}): {out}")


def pretrain(
    out: Annotated[Path, typer.Option(help="Write the weights here, as safetensors.")],
    n: Annotated[int, typer.Option(min=2, help="Photos to take.")] = 60_000,
    seed: Annotated[int, typer.Option(help="Of TinyEarth; 0 is the course's, refused.")] = 1,
    epochs: Annotated[int, typer.Option(min=1, help="Times that each photo is seen.")] = 5,
    batch_size: Annotated[int, typer.Option(min=2, help="Pairs that see one another.")] = 128,
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3,
    start: Annotated[
        str, typer.Option(help="random, shipped, or weights to go on from.")
    ] = "random",
    source: Annotated[str, typer.Option(help="tinyearth, csv, folder, data set.")] = "tinyearth",
    model: Annotated[str, typer.Option(help="tiny, or a name of geolab embed.")] = "tiny",
    captions: Annotated[str, typer.Option(help="street-view, flickr, streetclip.")] = "street-view",
) -> None:
    """Train a CLIP on captions made by rule; a run that was cut off goes on."""
    from geolab.pretrain_command import PretrainRequest, lines, run_pretraining

    typed = shlex.join(["geolab", *sys.argv[1:]])
    settings = (n, seed, epochs, batch_size, lr, start, source, model, captions, typed)
    try:
        about = run_pretraining(PretrainRequest(out, *settings))
    except (ValueError, OSError) as error:
        fail(error)
    for line in lines(about, out) if about else []:
        typer.echo(line)
