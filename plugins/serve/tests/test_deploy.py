"""The files to deploy a service agree with the command, its paths and its page."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "plugins/serve/deploy"


def test_the_token_of_the_compose_file_is_made_by_its_page():
    """The page makes the token where the compose file looks for it, which git ignores."""
    secret = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["secrets"]["token"]["file"]
    page = (ROOT / "docs/how-to/serve.md").read_text().partition("## Docker")[2]
    made = re.search(r"token_urlsafe\(32\)\)' > (\S+)", page.partition("## Slurm")[0])
    assert made is not None
    assert (DEPLOY / secret).resolve() == ROOT / made[1]
    assert Path(secret).name in (ROOT / ".gitignore").read_text().split()


def test_the_signal_of_slurm_reaches_the_service():
    """Without `B:` Slurm signals job steps alone, of which the script has none."""
    page = (ROOT / "docs/how-to/serve.md").read_text()
    signals = re.findall(r"--signal=(\S+?)[`\s]", page)
    assert signals
    assert all(each.startswith("B:TERM@") for each in signals)
    assert "ssh -L 8000:$(squeue" not in page  # the user's computer has no squeue
