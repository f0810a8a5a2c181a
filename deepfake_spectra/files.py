"""Files are written whole or not at all: under a temporary name first, then renamed."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, of the same suffix, and move it to `path` when the block ends well.

    The folder is made if need be. Whatever happens inside the block, a kill included, `path` holds either what it held
    before or the complete new file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".partial-{os.getpid()}-{threading.get_ident()}-{path.name[-60:]}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        error.filename = str(path)  # a full disk names none, and the temporary name means nothing to anybody
        raise
    finally:
        temporary.unlink(missing_ok=True)
