"""Fill the generated parts of docs/, README, docstrings and entries; print what changed."""

import inspect
import sys
from pathlib import Path

from picograd.cli.error_examples import updated_entries
from picograd.compiler.diagnostics import parse_module
from picograd.errors import PicogradError
from picograd.passes import PASSES
from picograd.study.documentation.pages import updated_pages
from picograd.study.pass_docs import read_pass_docs, run_example, with_new_example

ROOT = Path(__file__).parents[1]


def update(file: Path, text: str) -> bool:
    """Write a file that is out of date, and say so."""
    if file.read_text(encoding="utf-8") == text:
        return False
    file.write_text(text, encoding="utf-8")
    print(file.relative_to(ROOT))
    return True


def update_docstrings() -> bool:
    """Let the block under `After:` of every pass hold what the pass really does."""
    changed = False
    for step in PASSES.values():
        docs = read_pass_docs(step)
        after = run_example(docs, PASSES)
        if str(parse_module(docs.after)) != str(parse_module(after)):
            file = Path(inspect.getfile(step))
            changed |= update(file, with_new_example(file.read_text(encoding="utf-8"), after))
    return changed


def update_entries() -> bool:
    """Let the entry of every error show what its example prints."""
    changed = [update(file, text) for file, text in updated_entries()]
    return any(changed)


def main() -> int:
    """The pages show what was loaded, so changed sources of theirs need a second run."""
    try:
        if update_docstrings() | update_entries():
            print("what pages show has changed: run this again for the pages")
            return 0
        for page, text in updated_pages(ROOT):
            update(page, text)
    except PicogradError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
