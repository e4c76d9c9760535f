"""Pages that repeat what the code says: the settings pages, the list of states, the flows and their stories."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.messages import TRANSITIONS, CampaignStatus, Receipt, Status, Verdict
from standalone.settings_pages import PAGES

ROOT = Path(__file__).parent.parent.parent
LIFECYCLE = (ROOT / "docs" / "message-lifecycle.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_settings_pages_are_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PAGES[path](), "run: python -m standalone.settings_pages"


def test_the_diagram_shows_every_transition() -> None:
    shown = set(re.findall(r"^    (\w+) --> (\w+)", LIFECYCLE, re.MULTILINE))
    assert shown == {(before.value, after.value) for before, afters in TRANSITIONS.items() for after in afters}


def test_the_page_names_every_state_and_verdict() -> None:
    for name in [*Status, *Verdict, *Receipt, *CampaignStatus]:
        assert f"`{name.value}`" in LIFECYCLE, name


def test_every_flow_has_a_story_of_the_same_title() -> None:
    flows = {file.stem.replace("-", "_") for file in (ROOT / "docs" / "flows").glob("*.md")} - {"README"}
    stories = {file.stem.removeprefix("test_") for file in (ROOT / "tests" / "stories").glob("test_*.py")}
    assert flows == stories


def test_links_between_pages_lead_somewhere() -> None:
    links = [
        (page, target)
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if not target.startswith(("http://", "https://"))
    ]
    broken = [f"{page.name}: {target}" for page, target in links if not (page.parent / target).exists()]
    assert not broken
