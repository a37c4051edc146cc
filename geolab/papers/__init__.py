"""Paper tables: what was published, what disagrees, and our rows or yours beside it.

    geolab table --paper im2gps3k                       # published rows, sources, conflicts
    geolab table --paper im2gps3k --rows mine.json      # and measured rows, in a panel of their own
    geolab score predictions.csv --benchmark im2gps3k   # score anybody's answers

Modules, from the bottom up:

- `counts`: which shares a set of n photos can give at all; which n a paper divided by.
- `conflicts`: one system, two sources, two numbers.
- `catalogue`: the seven tables, and where their photos can be had.
- `panels`: all of it as one table for screen, notebook and file.
- `predictions`: prediction files as people write them.
- `truth`: the frozen list that a file is scored against.
- `radius`: what another Earth radius does to the hits.
- `noise`: how wide the interval of a share is when a few people took most photos.
- `slips`: columns exchanged, zeros for answers.
- `score`: the five put together.
- `provenance`: on which machine and by which command a table was made.
- `charts`: pictures of the tables.
- `commands`: what the command line calls.
"""
