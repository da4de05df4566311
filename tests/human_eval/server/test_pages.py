"""The server's own pages: texts of people stay texts, and the policy allows the page's style alone."""

import re

from human_eval.server import pages, progress
from human_eval.server.sittings import Sitting, Visit

EVIL = "<script>alert('x')</script>&"


def sitting(**changes) -> Sitting:
    about = {"id": "s", "form": 0, "slot": 0, "practice": True, "turn": 1, "state": "finished", "answered": ()}
    return Sitting(**about | {"code": "C1", "redirect": None} | changes)


def test_titles_texts_codes_and_links_are_escaped():
    finished = [sitting(code=EVIL, redirect=f"https://example.org/?cc={EVIL}")]
    visit = Visit(sitting=None, finished=finished, more=True)
    places = progress.Places(needed=1, finished=0, running=0, expired=0, free=1, abandoned=0)
    numbers = progress.Progress(
        forms=((1, places),), total=places, fewest_ratings=0, most_ratings=0, answers=0, times=(), comments=(EVIL,)
    )
    for page in (
        pages.message(EVIL, EVIL),
        pages.visit(visit, {"rater": EVIL}),
        progress.render(EVIL, numbers, [EVIL], pilot=True, token=EVIL),
    ):
        assert b"<script" not in page
        assert b"&lt;script&gt;" in page


def test_the_policy_names_the_hash_of_the_pages_style_and_no_program():
    page = pages.message("Sorry", "Nothing here.")
    assert len(re.findall(rb"<style>", page)) == 1
    policy = pages.security_policy(page, ours=False)
    assert re.search(r"style-src 'sha256-[^']+'", policy)
    assert "script-src" not in policy
