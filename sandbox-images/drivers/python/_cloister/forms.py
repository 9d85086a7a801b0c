"""A value in the forms that a client can show: MIME type → bytes, `text/plain` always among them."""

import base64
import json
import re
import sys

from . import figures, text

# A JSON copy of a dict or list is for small results that a program reads; large ones belong in files.
MAX_JSON_SOURCE = 256 << 10
MAX_FORMS = 16
TABLE_ROWS = 50

_METHODS = (("_repr_html_", "text/html"), ("_repr_markdown_", "text/markdown"), ("_repr_svg_", "image/svg+xml"),
            ("_repr_png_", "image/png"), ("_repr_jpeg_", "image/jpeg"), ("_repr_latex_", "text/latex"),
            ("_repr_json_", "application/json"))
# Exactly these types have no form but text and JSON, and nobody can give them one.
_BARE = frozenset((type(None), bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, range))
_MIME = re.compile(r"[A-Za-z0-9.+-]{1,63}/[A-Za-z0-9.+-]{1,100}\Z")


def of(value, limit, complain):
    """The forms of `value`, together at most `limit` bytes. Runs guest code; lets only KeyboardInterrupt through.

    `complain(sentence)` hears of forms that could not be made.
    """
    found = {}
    for maker in () if type(value) in _BARE else (_figure, _table, _bundle, _methods):
        try:
            maker(value, found, complain)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            complain(f"{_type_name(value)}: a rich form could not be made: {_said(error)}")
    plain, cut = found.pop("text/plain", None), False
    if plain is None:
        plain, cut = _plain(value, limit)
        if not cut and len(plain) <= MAX_JSON_SOURCE and "application/json" not in found:
            _structure(value, found)
    elif isinstance(plain, bytes):
        plain = plain.decode("utf-8", "replace")
    return _fit(found, plain, cut, limit)


def picture(data, alternative, limit):
    """The forms of a finished PNG."""
    return _fit({"image/png": data}, alternative, False, limit)


def _plain(value, limit):
    try:
        return text.bounded_repr(value, limit)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"<{_type_name(value)} object; its repr() raised {_said(error)}>", False


def _figure(value, found, _complain):
    if figures.is_figure(value):
        found["image/png"] = figures.png(value)
        figures.mark_shown(value)


def _table(value, found, _complain):
    """pandas: HTML for a Series too, and the first rows as data."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(value, (pandas.DataFrame, pandas.Series)):
        return
    frame = value.to_frame() if isinstance(value, pandas.Series) else value
    html = frame._repr_html_()
    if html is not None:
        found["text/html"] = html.encode("utf-8", "backslashreplace")
    head = value.head(TABLE_ROWS).to_json(orient="split", date_format="iso", double_precision=15, default_handler=str)
    found["application/json"] = head.encode()


def _bundle(value, found, _complain):
    method = _method(value, "_repr_mimebundle_")
    bundle = method() if method is not None else None
    if isinstance(bundle, tuple) and bundle:
        bundle = bundle[0]
    if isinstance(bundle, dict):
        add_bundle(bundle, found)


def add_bundle(bundle, found):
    """Take a MIME bundle over into `found`; what is already there stays."""
    for mime, data in bundle.items():
        if isinstance(mime, str) and _MIME.match(mime) and mime not in found and len(found) < MAX_FORMS:
            encoded = _encode(mime, data)
            if encoded is not None:
                found[mime] = encoded


def _methods(value, found, complain):
    for name, mime in _METHODS:
        # One raster picture is enough: PIL offers PNG and JPEG of the same pixels.
        if mime in found or (mime == "image/jpeg" and "image/png" in found):
            continue
        method = _method(value, name)
        if method is None:
            continue
        try:
            data = method()
            if isinstance(data, tuple) and data:
                data = data[0]  # (data, metadata)
            encoded = _encode(mime, data)
            if encoded is not None:
                found[mime] = encoded
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            complain(f"{_type_name(value)}.{name}() raised {_said(error)}")


def _method(value, name):
    """A display method of an instance; not of a class, and not of an object that claims to have every attribute."""
    if isinstance(value, type) or getattr(type(value), "__getattr__", None) and _answers_anything(value):
        return None
    method = getattr(value, name, None)
    return method if callable(method) else None


def _answers_anything(value):
    return getattr(value, "_cloister_no_such_attribute_", None) is not None


def _encode(mime, data):
    """Bytes for one form, or None. Pictures may come as base64 text, as notebooks carry them."""
    if data is None:
        return None
    if isinstance(data, (bytes, bytearray)):
        return bytes(data)
    if mime.endswith("json"):
        return json.dumps(data, ensure_ascii=False, allow_nan=False).encode() if not isinstance(data, str) else data.encode()
    if not isinstance(data, str):
        return None
    if mime.startswith("image/") and not mime.endswith("xml"):
        return base64.b64decode(data, validate=False)
    return data.encode("utf-8", "backslashreplace")


def _structure(value, found):
    """application/json for a dict or list that JSON can say without changing it (so no numbers as keys, no NaN)."""
    if isinstance(value, (dict, list)) and _is_json(value):
        try:
            found["application/json"] = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, TypeError, RecursionError):
            pass


def _is_json(value):
    todo, seen = [value], set()
    while todo:
        item = todo.pop()
        if isinstance(item, (dict, list, tuple)):
            if id(item) in seen:
                continue
            seen.add(id(item))
            if isinstance(item, dict):
                if not all(type(key) is str for key in item):
                    return False
                todo.extend(item.values())
            else:
                todo.extend(item)
        elif item is not None and type(item) not in (str, int, float, bool):
            return False
    return True


def _fit(found, plain, cut, limit):
    """Leave out the largest forms until the rest fits, and say so in the text."""
    encoded = plain.encode("utf-8", "backslashreplace")
    notes = []
    if cut or len(encoded) > limit:
        notes.append(f"[cut here: a display may have at most {limit:,} bytes]")
    room = limit - min(len(encoded), limit // 2)
    while found and sum(map(len, found.values())) > room:
        largest = max(found, key=lambda mime: len(found[mime]))
        notes.append(f"[{largest} left out: it has {len(found.pop(largest)):,} bytes, "
                     f"and a display may have at most {limit:,}]")
    note = "".join("\n" + line for line in notes).encode()
    room = limit - sum(map(len, found.values())) - len(note)
    if len(encoded) > room:
        encoded = encoded[:max(room, 0)].decode("utf-8", "ignore").encode()
    found["text/plain"] = (encoded + note).strip(b"\n")[:limit] if note else encoded
    return found


def _type_name(value):
    return type(value).__name__


def _said(error):
    """An exception in one bounded line. Its own __str__ may fail too."""
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except KeyboardInterrupt:
        raise
    except BaseException:
        return type(error).__name__
