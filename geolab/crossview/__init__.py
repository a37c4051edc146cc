"""Street to aerial: find the tile of a map that a street photo was taken on.

One package, from pictures to a place:

- `polar`: the aerial tile unrolled around its centre, so that both views run along the horizon;
- `scenes`, `town`: pairs of TinyEarth scenes, and a raster town of any size (both synthetic);
- `pairs_folder`: a user's own copy of CVUSA or CVACT;
- `towers`: two small vision transformers and how they are trained, hard negatives included;
- `hashing`: learned hash heads, random hyperplanes and ITQ, packed to bytes;
- `recall`: recall@k and @1 %, ties counted half;
- `clusters`: the place that the best five agree on;
- `drive`: a moving camera followed over the map.
"""
