"""Turn the notebooks into a course: execute them, render them, collect what they made.

`geolab course` is `build.build_course` with a progress bar. A build folder holds::

    index.html              every notebook with a picture, a sentence, its minutes and its GPU need
    NN_name.html            the notebook as a page, opens without a network
    NN_name.slides.html     the same as slides; web/ holds the script that turns them
    notebooks/NN_name.ipynb the executed notebook; its metadata says how the run went
    figures/  maps/         the figures as PNG files, the interactive maps as HTML files
    results.html .csv .json the rows that the notebooks recorded, from rows/NN_name.json
    models/                 networks that were trained, so that nobody waits for them again
    environment.json        what it was run on

Read in this order: `notebook` (what a lecture is), `run` and `memory` (execute one), `scrub` (no
machine path in what is published), `state` (how a run is remembered), `exporting`, `render` and
`mathml` (one page), `slide_plan` and `slides`, `index` (all pages), `build` (all of it, skipping
what is unchanged), `clean` (how notebooks are kept in git), `address` and `bootstrap` (Colab).
"""
