"""consingan help: topics are the pages of the documentation, which lie in the package."""

import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from consingan.command import topics
from consingan.command.cli import main
from consingan.errors import UserError


def said(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["help", *words], env={"COLUMNS": "100"})
    assert result.exit_code == code, result.output
    return result.output


def test_the_list_has_every_topic_and_every_topic_a_text():
    listed = said()
    for name in topics.TOPICS:
        assert re.search(rf"^  {name} +\S", listed, re.MULTILINE), name
        text, _ = topics.page(name)
        assert len(text) > 150, name
        assert "![" not in text, name


def test_every_page_is_a_topic():
    shown = {topic.file for topic in topics.TOPICS.values()}
    missing = {f"docs/{page.name}" for page in (topics.PAGES / "docs").glob("*.md")} - shown
    assert missing <= {"docs/architecture.md", "docs/gpu.md"}  # for who changes the program, and written by make gpu


def test_a_page_shows_its_beginning_and_names_its_parts():
    text = said("batch")
    assert "Every flag of consingan train holds for each picture" in text
    assert "A list is a CSV file" not in text
    assert text.split("PART is one of\n")[1].startswith("  Lists\n  How many at a time\n")
    part = said("batch", "how", "many")
    assert "A worker is a process that loads torch once" in part
    assert "PART" not in part


def test_a_topic_that_is_a_part_shows_it_alone():
    text, others = topics.page("masks")
    assert text.startswith("# Masks\n")
    assert "_mask" in text
    assert others == []


def test_a_command_that_is_no_topic_shows_its_flags():
    assert "--input_name" in said("train")


def test_an_unknown_topic_is_answered_with_the_nearest():
    assert said("batsh", code=2) == "Error: There is no topic 'batsh'; did you mean batch? consingan help lists them.\n"
    assert said("zzz", code=2) == "Error: There is no topic 'zzz'; consingan help lists them.\n"
    wrong = "Error: The topic batch has no part 'list of'; did you mean lists? consingan help batch lists them.\n"
    assert said("batch", "list of", code=2) == wrong


def test_a_part_that_could_be_several_is_refused():
    with pytest.raises(UserError, match="The topic x has no part 'the'"):
        topics._part("x", "the", ["The one", "The other"])
    assert topics._part("x", "the", ["The", "The other"]) == "The"


def test_pages_that_are_not_installed_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(topics, "PAGES", tmp_path)
    assert said("batch", code=2).startswith("Error: The page docs/batch.md is not installed with this program (No such")


def test_pictures_and_captions_are_left_out_and_links_are_words():
    text = "one [page](a.md#b), [site](https://a.b)\n\n![a](b.jpg)\n\n*Caption\nof it.*\n\n*kept* word\n\n**Bold** one"
    assert topics.bare(text) == "one page, [site](https://a.b)\n\n*kept* word\n\n**Bold** one\n"


def test_a_hash_in_a_block_of_code_is_no_heading(monkeypatch, tmp_path):
    monkeypatch.setattr(topics, "PAGES", tmp_path)
    Path(tmp_path, "p.md").write_text(
        "# Title\n\n    a block\n\n```sh\n# words\n```\n\n## Part\ntext\n\n### Small\nmore\n"
    )
    assert topics._parts("p.md") == {"Title": "    a block\n\n```sh\n# words\n```", "Part": "text\n\n### Small\nmore"}


def test_the_man_page_has_every_command_and_flag():
    text = said("--man")
    assert text.startswith('.TH CONSINGAN 1 "" "consingan ')
    for name, command in main.commands.items():
        assert f"\n.SS consingan {name.replace('-', chr(92) + '-')} " in text or f"\n.SS consingan {name}\n" in text, (
            name
        )
        for param in command.params:
            flag = param.opts[0].replace("-", r"\-")
            assert param.param_type_name == "argument" or f".B {flag}" in text, (name, flag)
    unknown = re.findall(r"^[.'](?!(?:TH|SH|SS|TP|B)\b).*", text, re.MULTILINE)
    assert unknown == []


def test_help_needs_no_torch():
    import subprocess

    code = "import sys; from consingan.command.cli import main\ntry: main(['help', 'batch'])\n"
    code += "except SystemExit: pass\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
