"""Questions to the person at the terminal."""

import sys
from collections.abc import Sequence

from taglm_core.data.recognition import Ask, refuse_to_ask


def person_at_terminal() -> Ask:
    """Return what asks the person; where nobody sits at a terminal, what makes it an error."""
    is_there = sys.stdin.isatty() and sys.stderr.isatty()
    return ask_person if is_there else refuse_to_ask


def ask_person(question: str, answers: Sequence[str], advice: str) -> int:
    """Ask on stderr until an answer is chosen.

    Args:
        question: The question.
        answers: The answers, which are numbered from 1.
        advice: What to write instead; a person who can answer needs none.

    Returns:
        The number of the answer, from 0.
    """
    import typer

    from taglm_core.cli.screen import print_note

    print_note(question)
    for number, answer in enumerate(answers, start=1):
        print_note(f"  {number}  {answer}")
    while True:
        chosen: int = typer.prompt("Number", type=int, err=True)
        if 1 <= chosen <= len(answers):
            return chosen - 1
        print_note(f"Error: {chosen} is not one of 1 to {len(answers)}.")
