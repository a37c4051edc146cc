from __future__ import annotations

import importlib
import re
import shutil
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

pdoc = pytest.importorskip("pdoc", reason="pip install 'geolab[docs]'")

from geolab import api_pages  # noqa: E402
from geolab.api_pages import build_api, docs, module_names  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
FEW = ("geolab", "geolab.sphere", "geolab.kernels.smoothed_loss", "geolab.data", "geolab.borders")
# What makes a browser fetch something from elsewhere when it opens a page.
FETCHES = re.compile(
    r"<(?:script|img|link|iframe|source|object)\b[^>]*\b(?:src|href|data)=[\"']?(?:https?:)?//"
    r"|url\(\s*[\"']?(?:https?:)?//|@import\s+[\"'](?:https?:)?//"
)


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("api")
    build_api(out, FEW)
    return out


def text(out: Path, name: str) -> str:
    return (out / (name.replace(".", "/") + ".html")).read_text(encoding="utf-8")


def links_of(page: Path) -> set[Path]:
    shown = re.sub(r"<script.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.S)
    found = re.findall(r'<a\b[^>]*\bhref="([^"#?]+)', shown)
    return {(page.parent / link).resolve() for link in found if not re.match("[a-z]+:", link)}


def test_every_public_module_is_on_the_list():
    files = {path.relative_to(ROOT) for path in (ROOT / "geolab").rglob("*.py")}
    names = {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files}
    wanted = {
        name
        for name in names
        if not any(part.startswith("_") for part in name.split("."))
        and not name.split(".")[-1].startswith("test_")
    }
    assert wanted <= set(module_names())
    assert all("._" not in name for name in module_names())


def test_docstrings_of_numpy_become_lists(few):
    page = text(few, "geolab.sphere")
    section = page[page.index('id="great_circle_km"') :]
    assert re.search(r"<h6[^>]*>Parameters</h6>\s*<ul>\s*<li><strong>a, b</strong>", section)
    assert "-----" not in re.sub(r"<(style|script|svg).*?</\1>|<!--.*?-->", "", page, flags=re.S)


def test_formulas_are_mathml(few):
    page = text(few, "geolab.kernels.smoothed_loss")
    assert page.count("<math") >= 2
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in page
    for untouched in (":math:", ".. math::", "geolabformula", 'class="tex"', "\\qquad"):
        assert untouched not in page


def test_formulas_keep_their_place():
    class Html(str):
        toc_html = "the contents"

    markdown, page = api_pages._with_formulas(lambda context, text: text, Html)
    source = "Take :math:`a_1` and\n\n.. math:: b_2\n    + c_3\n\nthen _stop_."
    made = page(markdown(None, source))
    assert re.split(r"<math.*?</math>", made, flags=re.S) == [
        "Take ",
        " and\n\n\n\n",
        "\n\nthen _stop_.",
    ]
    assert made.count("<msub>") == 3
    assert made.toc_html == "the contents"


def test_names_fetched_when_first_used_are_documented(few):
    assert "Decode one photo." in text(few, "geolab.data")


def test_all_modules_are_one_click_away(few):
    held = {(few / (name.replace(".", "/") + ".html")).resolve() for name in FEW}
    assert links_of(few / "index.html") == held
    for page in held:
        assert (few / "index.html").resolve() in links_of(page)


def test_nothing_of_the_machine_is_written(few):
    for path in [*few.rglob("*.html"), few / "search.js"]:
        written = path.read_text(encoding="utf-8")
        assert str(ROOT) not in written, path
        assert str(Path.home()) not in written or str(Path.home()) == "/", path


def test_the_same_code_gives_the_same_pages(few, tmp_path):
    build_api(tmp_path, FEW)
    for path in few.rglob("*.*"):
        assert (tmp_path / path.relative_to(few)).read_bytes() == path.read_bytes(), path.name


def test_pages_of_modules_that_are_gone_go(few, tmp_path):
    old = tmp_path / "geolab" / "gone.html"
    old.parent.mkdir()
    old.write_text("old", encoding="utf-8")
    kept = tmp_path / "notes.html"
    kept.write_text("mine", encoding="utf-8")
    build_api(tmp_path, ["geolab", "geolab.intervals"])
    assert not old.exists()
    assert kept.exists()


def test_a_module_that_lacks_a_library_is_named(tmp_path, monkeypatch):
    real = importlib.import_module

    def without(name, *rest):
        if name == "geolab.bench":
            raise ModuleNotFoundError("No module named 'faiss'", name="faiss")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    made = build_api(tmp_path, ["geolab.intervals", "geolab.bench"])
    assert made.left_out == {"geolab.bench": "No module named 'faiss'"}
    assert list(made.pages) == ["geolab.intervals"]


def test_pdoc_is_left_as_it_was(tmp_path):
    before = dict(pdoc.render.env.filters), pdoc.render.precompile_index
    build_api(tmp_path, ["geolab"])
    assert (dict(pdoc.render.env.filters), pdoc.render.precompile_index) == before
    assert "api_theme" not in str(pdoc.render.env.loader.searchpath)


def command() -> typer.Typer:
    app = typer.Typer()
    app.command()(docs)
    return app


def test_the_command_says_where_the_pages_are(tmp_path, monkeypatch):
    monkeypatch.setattr(api_pages, "module_names", lambda: ["geolab", "geolab.intervals"])
    said = CliRunner().invoke(command(), ["--out", str(tmp_path / "api")])
    assert said.exit_code == 0, said.output
    assert said.output == f"2 pages: {tmp_path / 'api' / 'index.html'}\n"


def test_without_pdoc_the_command_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pdoc", None)
    said = CliRunner().invoke(command(), ["--out", str(tmp_path)])
    assert said.exit_code == 2
    assert "pdoc is missing. Run: pip install 'geolab[docs]'" in said.output


@pytest.mark.slow
def test_every_public_module_has_a_page_that_needs_no_network(tmp_path):
    made = build_api(tmp_path)
    assert set(made.pages) | set(made.left_out) == set(module_names())
    for name, why in made.left_out.items():
        assert "No module named 'geolab" not in why, name
    pages = [tmp_path / "index.html", *made.pages.values()]
    for page in pages:
        written = page.read_text(encoding="utf-8")
        assert not FETCHES.search(written), f"{page.name}: {FETCHES.search(written)}"
        assert 'class="tex"' not in written or page.stem in ("mathml", "api_pages"), page.name
        assert "geolabformula" not in written or page.stem == "api_pages", page.name
    targets = set().union(*map(links_of, pages))
    assert [str(link) for link in targets if not link.is_file()] == []


def test_pages_and_search_work_in_a_browser_without_a_network(few):
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium")
    said, asked = [], []
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index", "geolab/sphere", "geolab/kernels/smoothed_loss"):
            page.goto((few / f"{name}.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.locator("math").first.bounding_box()["height"] > 8
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto((few / "geolab" / "sphere.html").as_uri())
        page.fill("input[type=search]", "bounding cap")
        page.wait_for_selector("main a[href*='bounding_cap']", timeout=20_000)
        browser.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
