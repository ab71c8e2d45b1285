"""report.html: everything about a run on one page that needs nothing else.

    facts.py     the run folder, read           commands.py  what to type next
    pictures.py  pictures inside the page       plots.py     curves as SVG
    origins.py   what is copied from where      findings.py  figures of the newest samples
    directions.py  of a translation, each way with its figures
    page.py      the page                       templates/   its markup, style and script

The page is one file: pictures are data URIs, curves are inline SVG, nothing is loaded from anywhere.
"""

from consingan.watch.report.page import report_page, write

__all__ = ["report_page", "write"]
