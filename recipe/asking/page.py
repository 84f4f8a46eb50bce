"""The page itself, in gradio: what stands where, one question at a time, limits on uploads."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_prep.drawing.page import page_environment
from data_prep.errors import StageError
from data_prep.video.sampling import VideoError
from recipe.asking.answers import SUFFIXES, Asker, answer_question

TEMPLATES = Path(__file__).parent / "templates"
MOST_WAITING = 16  # questions; a further one is told to come back
KEPT = 4  # answers whose files are kept until gradio has copied them
CACHE_S = 3600  # what was uploaded or answered is deleted after so many seconds
CSS = """
.answer table, .answer tr, .answer th, .answer td { border: 0; }
.answer .tiles { display: grid; gap: .45rem .3rem; grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); }
.answer figure { margin: 0; } .answer figure img { display: block; margin: 0; width: 100%; }
.answer figcaption { font-size: .75rem; text-align: center; }
.answer .bars i { background: #8885; display: block; height: .42rem; margin-top: 2px; position: relative; }
.answer .bars b { bottom: 0; position: absolute; top: 0; }
.upload button[aria-label*="rim"] { display: none; }
.answer table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
.answer th, .answer td { border-bottom: 1px solid #8885; padding: .2rem .5rem; text-align: right; }
.answer th:first-child, .answer td:first-child { text-align: left; }
.answer pre { overflow-wrap: anywhere; white-space: pre-wrap; }
.answer .legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; margin: 0 0 .5rem; padding: 0; }
.answer .legend li { align-items: center; display: flex; gap: .4rem; margin: 0; }
.answer .swatch { border: 2px solid; display: inline-flex; height: .95rem; padding: 1px; width: 1.4rem; }
.answer .swatch i { display: block; height: 100%; width: 100%; }
@media (max-width: 44rem) {
  .answer thead { display: none; }
  .answer table, .answer tbody, .answer tr, .answer td { display: block; }
  .answer td[data-label]::before { content: attr(data-label) ": "; float: left; }
  .answer td { border: 0; } .answer tr { border-bottom: 1px solid #8885; }
  .answer td:first-child::before { content: "second "; }
}
"""


def check_gradio() -> None:
    """Raise a StageError where gradio is not installed."""
    if importlib.util.find_spec("gradio") is None:
        raise StageError("the page needs the gradio package: make install-app")


def build_page(asker: Asker, work: Path) -> Any:
    """Return the page as gradio's Blocks; nothing is served yet.

    Args:
        work: folder for what answers write.
    """
    import gradio

    environment = page_environment(TEMPLATES)
    folders: deque[Path] = deque()

    def ask(video: str | None, query: str, progress: Any = gradio.Progress()) -> tuple[Any, ...]:  # noqa: B008
        nothing = (None, "", None)
        if not video:
            return ("error: no video is there yet: choose a file first", *nothing)
        folder = Path(tempfile.mkdtemp(dir=work))
        folders.append(folder)
        while len(folders) > KEPT:
            shutil.rmtree(folders.popleft(), ignore_errors=True)

        def say(name: str, done: int, total: int) -> None:
            progress((done, total), desc=f"{name}: part {done} of {total}")

        try:
            found = answer_question(asker, Path(video), query or "", folder, say)
        except (StageError, VideoError, OSError) as error:
            # The upload lies under a name of gradio's own, which says nothing to whoever uploaded it.
            line = " ".join(str(error).replace(video, Path(video).name).split())
            return (f"error: {line}", *nothing)
        files = [str(path) for path in found.files]
        looks = [system.look for system in asker.systems]
        shown = environment.get_template("answer.html").render(looks=looks, found=found)
        return "\n".join(found.said), str(found.overlay), shown, files

    # The last part of a path: whoever asks need not know where checkpoints lie.
    models = ", ".join(f"{system.look.name}: {Path(system.model).name}" for system in asker.systems)
    limits = f"At most {asker.limits.megabytes} MB and {asker.limits.minutes:g} minutes: {', '.join(SUFFIXES)}."
    with gradio.Blocks(title="Ask a video", analytics_enabled=False, delete_cache=(CACHE_S, CACHE_S)) as page:
        gradio.Markdown("# Ask a video\nWhen does it happen, and where is the target, second by second? " + limits)
        with gradio.Row():
            with gradio.Column(min_width=300):
                # No `format`: nothing is converted, and no ffmpeg is needed.
                video = gradio.Video(label="video", sources=["upload"], height=280, elem_classes=["upload"])
                query = gradio.Textbox(
                    label="sentence or question", placeholder="the person in red picks up the bag", max_length=2000
                )
                button = gradio.Button("Ask", variant="primary")
                said = gradio.Textbox(label=f"answer ({models})", lines=2, interactive=False)
            with gradio.Column(min_width=300):
                overlay = gradio.Video(label="answer", interactive=False, loop=True, buttons=["download"])
                files = gradio.File(label="files", file_count="multiple", interactive=False)
        tiles = gradio.HTML(elem_classes=["answer"])
        given, shown = [video, query], [said, overlay, tiles, files]
        for event in (button.click, query.submit):
            event(
                ask, given, shown, api_name="ask", concurrency_limit=1, concurrency_id="ask", show_progress="minimal"
            )
    page.queue(max_size=MOST_WAITING, default_concurrency_limit=1)
    return page


@contextmanager
def serving(asker: Asker, host: str, port: int) -> Iterator[Any]:
    """Serve the page while the block runs; gives gradio's Blocks, whose `local_url` says where.

    Args:
        port: 0: any that is free.

    Raises:
        OSError: The port is taken, or there is no such address.
    """
    import gradio

    with tempfile.TemporaryDirectory(prefix="ask-a-video-") as work:
        page = build_page(asker, Path(work))
        try:
            page.launch(
                server_name=host,
                server_port=port or None,
                share=False,
                max_file_size=asker.limits.megabytes * 2**20,
                css=CSS,
                # A theme whose letters are the system's: the others load theirs from the network.
                theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
                ssr_mode=False,
                footer_links=["api"],
                quiet=True,
                prevent_thread_lock=True,
            )
            yield page
        finally:
            page.close()
