"""Fill the generated parts of docs/ from the docstrings; print the pages that changed."""

import sys
from pathlib import Path

from picograd.errors import PicogradError
from picograd.study.doc_pages import updated_pages

ROOT = Path(__file__).parents[1]


def main() -> int:
    try:
        for page, text in updated_pages(ROOT):
            if page.read_text(encoding="utf-8") != text:
                page.write_text(text, encoding="utf-8")
                print(page.relative_to(ROOT))
    except PicogradError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
