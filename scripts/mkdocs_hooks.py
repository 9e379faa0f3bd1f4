"""Lets pages link to files of the repository that are not part of the site.

On the site such a link leads to the file in the repository. A link to a file that does not exist
fails the build, as a dead link between two pages does.
"""

import logging
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

REPOSITORY = "https://github.com/rejob/rejob"
ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\((\.\./[^)#\s]*)")
log = logging.getLogger("mkdocs.hooks.repository")


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Replaces relative links that leave the folder of the pages by links to the repository."""
    docs = Path(config.docs_dir)
    here = (docs / page.file.src_uri).parent

    def replace(link: re.Match[str]) -> str:
        target = (here / link[1]).resolve()
        if target.is_relative_to(docs):
            return link[0]
        if not target.exists():
            log.warning("%s links to %s, which does not exist", page.file.src_uri, link[1])
        kind = "tree" if target.is_dir() else "blob"
        return f"]({REPOSITORY}/{kind}/main/{target.relative_to(ROOT)}"

    return LINK.sub(replace, markdown)
