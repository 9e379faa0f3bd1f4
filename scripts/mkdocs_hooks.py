"""Lets pages link to files of the repository that are not part of the site.

On the site such a link leads to the file in the repository. That the file exists is checked with the
links of all Markdown files, in .pre-commit-config.yaml.
"""

import re
from pathlib import Path

REPOSITORY = "https://github.com/rejob/rejob"
ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\((\.\./[^)#\s]*)")


def on_page_markdown(markdown, *, page, config, **_):
    """Replaces relative links that leave the folder of the pages by links to the repository."""
    docs = Path(config.docs_dir)
    here = (docs / page.file.src_uri).parent

    def replace(link):
        target = (here / link[1]).resolve()
        if target.is_relative_to(docs):
            return link[0]
        kind = "tree" if target.is_dir() else "blob"
        return f"]({REPOSITORY}/{kind}/main/{target.relative_to(ROOT)}"

    return LINK.sub(replace, markdown)
