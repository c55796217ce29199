"""The body of a request: an image file as it is, and no larger than allowed."""

from fastapi import HTTPException, Request

#: Media types of a body that is an image; the last one is what curl states where nothing else is given.
MEDIA_TYPES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/tiff",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
)
#: A body over the limit is read on, and forgotten, up to so many times the limit: a client that is still
#: sending when the connection is closed never sees the answer.
_PATIENCE = 4


async def read_image_bytes(request: Request, most: int) -> bytes:
    """Read a body.

    Args:
        request: The request.
        most: Bytes that it may have.

    Raises:
        HTTPException: 413 it is larger; 415 it says that it is no image; 422 it is empty.
    """
    media_type = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip()
    if media_type.lower() not in MEDIA_TYPES and not media_type.lower().startswith("image/"):
        await _forget(request, most)
        raise HTTPException(
            415,
            f"body: it is {media_type!r:.80}; send the image file itself, as curl --data-binary @street.jpg "
            "does, with one of the types image/* or application/octet-stream.",
        )
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            parts.clear()
            if size > _PATIENCE * most:
                break
        else:
            parts.append(part)
    if size > most:
        raise HTTPException(
            413, f"body: it has over {most} bytes, which is the limit; shrink the image, or raise --max-mb."
        )
    if not size:
        raise HTTPException(422, "body: it is empty; send an image file.")
    return b"".join(parts)


async def _forget(request: Request, most: int) -> None:
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > _PATIENCE * most:
            return
