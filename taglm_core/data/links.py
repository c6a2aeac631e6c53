"""Symbolic links that lead nowhere."""

import errno
import os
from pathlib import Path

from taglm_core.errors import DataError


def check_links(path: Path, may_be_new: bool = False) -> None:
    """Demand that no symbolic link on the way to a path leads to nothing or in a circle.

    Args:
        path: A file or folder.
        may_be_new: True: a link to a file that does not exist yet is good.

    Raises:
        DataError: naming the link and where it points.
    """
    for link in (path, *path.parents):
        if not link.is_symlink():
            continue
        try:
            link.stat()
        except OSError as error:
            is_circle = error.errno == errno.ELOOP
            if may_be_new and link == path and not is_circle:
                continue
            what = "forms a loop" if is_circle else "points to a missing file"
            raise DataError(
                f"{path}: the symbolic link '{link}' -> '{os.readlink(link)}' {what}. Remove the "
                "link, or point it to an existing file."
            ) from error
