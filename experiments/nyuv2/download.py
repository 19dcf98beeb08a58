"""A large file fetched so that a broken connection costs only what was in flight."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from experiments.common.errors import UserError
from experiments.common.files import atomic_write, sha256

OFFICIAL_NAME = "nyu_depth_v2_labeled.mat"
OFFICIAL = f"http://horatio.cs.nyu.edu/mit/silberman/nyu_depth_v2/{OFFICIAL_NAME}"
#: As published with several loaders of the set.
OFFICIAL_CHECKSUM = "md5:520609c519fba3ba5ac58c8fefcc3530"
_BLOCK = 1 << 20
_TIMEOUT = 60  # seconds without a byte


def download(url: str, path: Path, attempts: int = 5, checksum: str | None = None) -> str:
    """Fetch ``url`` to ``path``, going on from ``path.part`` where there is one; returns the SHA-256.

    The checksum is recorded in ``path.sha256``. A file that is there and fits its record is not fetched again.
    ``checksum``: what is known of the file, such as ``"md5:" + 32 digits``; a file that does not have it is deleted.
    Raises :class:`UserError` when the file cannot be had; what has come so far stays for the next call.
    """
    path, record = Path(path), Path(f"{path}.sha256")
    if path.is_file():
        found = sha256(path)
        if record.is_file() and record.read_text().split()[:1] != [found]:
            raise UserError(f"{path} is not the file that {record.name} records; delete both and download again")
        return found
    part = Path(f"{path}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, attempts + 1):
            try:
                _fetch(url, part)
                break
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
                lasting = isinstance(error, urllib.error.HTTPError) and error.code < 500
                if lasting or attempt == attempts:
                    raise UserError(
                        f"cannot download {url} ({error}); what has come so far is kept in {part}: run the command "
                        "again to go on, or fetch the file by other means and pass its path as --source"
                    ) from error
        if checksum is not None:
            _check(part, checksum, url)
        found = sha256(part)
        part.rename(path)
        Path(f"{part}.version").unlink(missing_ok=True)
        with atomic_write(record) as file:
            file.write(f"{found}  {path.name}\n".encode())
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another place"
        ) from error
    return found


def _check(part: Path, checksum: str, url: str) -> None:
    """Delete what has come and raise :class:`UserError` unless it has the checksum."""
    algorithm, _, expected = checksum.partition(":")
    digest = hashlib.new(algorithm)
    with open(part, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    if (found := digest.hexdigest()) != expected:
        for path in (part, Path(f"{part}.version")):
            path.unlink(missing_ok=True)
        raise UserError(
            f"what {url} sent is not the file that was expected ({algorithm} {found}, not {expected}); it has been "
            "deleted: try again, or fetch the file by other means and pass its path as --source"
        )


def _fetch(url: str, part: Path) -> None:
    """Append to ``part`` until it is whole; begin anew where the server has another file or knows no ranges."""
    version = Path(f"{part}.version")
    begun = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url)
    if begun:
        request.add_header("Range", f"bytes={begun}-")
        if version.is_file():
            request.add_header("If-Range", version.read_text())
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # 416: nothing is left to send
            raise
        whole = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        if whole == str(begun):
            return
        part.unlink()
        raise ConnectionError(
            f"the part on the disk has {begun} bytes and the file {whole or 'another number'}"
        ) from None
    with response:
        if response.status != 206:
            begun = 0
        # Only what the server promises to change with the content may guard a resumption.
        mark = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        if mark and not mark.startswith("W/"):
            version.write_text(mark)
        left = response.headers.get("Content-Length")
        total = begun + int(left) if left else None
        with (
            open(part, "ab" if begun else "wb") as file,
            tqdm(total=total, initial=begun, desc=part.stem, unit="B", unit_scale=True, disable=None) as bar,
        ):
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
    if total is not None and part.stat().st_size != total:
        raise ConnectionError(f"{part.stat().st_size} of {total} bytes came")
