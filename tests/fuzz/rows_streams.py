"""Streams, and their methods."""

from __future__ import annotations

from tests.fuzz import laws, values
from tests.fuzz.row import KEY, Row
from tests.fuzz.values import of

_STREAM = {"stream": of("stream", "later", "later", "narrow_stream", "ks.Stream(tkey)", "last")}
_STREAMS = {
    "streams": of("streams", "streams", "ks.Streams(tkey, ('params', 'dropout'))", "no_streams")
}

ROWS = (
    Row("Stream", "ks.Stream({key})", laws.stream, KEY, share=0.5),
    Row(
        "Stream.next",
        "{stream}.next()",
        laws.stream_next,
        _STREAM,
        speaks=("Stream.next", "Stream"),
    ),
    Row(
        "Stream.take",
        "{stream}.take({n})",
        laws.stream_take,
        {**_STREAM, "n": values.count | of("2**33")},
    ),
    Row(
        "Stream.skip",
        "{stream}.skip({n})",
        laws.stream_skip,
        {**_STREAM, "n": values.start},
        share=1.5,
    ),
    Row("Stream.at", "{stream}.at({i})", laws.stream_at, {**_STREAM, "i": values.start}, share=1.5),
    Row("Stream.position", "{stream}.position", laws.position, _STREAM, share=0.3),
    Row("Stream.words", "{stream}.words", laws.anything, _STREAM, share=0.3),
    Row(
        "Stream.tree_flatten", "take({stream}, 'tree_flatten')()", laws.anything, _STREAM, share=0.1
    ),
    Row(
        "Stream.tree_flatten_with_keys",
        "take({stream}, 'tree_flatten_with_keys')()",
        laws.anything,
        _STREAM,
        share=0.1,
    ),
    Row(
        "Stream.tree_unflatten",
        "repr(ks.Stream.tree_unflatten(None, ({a}, {b})))",
        laws.a_text,
        {"a": values.a_key, "b": of("stream.words", "xs", "legacy", "0", "several.words")},
        share=0.5,
    ),
    *(
        Row(
            "Stream.__reduce__",
            call,
            laws.anything,
            _STREAM,
            speaks=("Stream",),
            share=0.1,
            contexts=("eager", "in_jit", "under_mesh"),
        )
        for call in (
            "pickle.loads(pickle.dumps({stream}))",
            "copy.deepcopy({stream})",
            "copy.copy({stream})",
        )
    ),
    Row("Stream.__dir__", "dir({stream})", laws.anything, _STREAM, share=0.1),
    Row("Stream.__eq__", "{stream} == {stream}", laws.anything, _STREAM, speaks=("Stream",)),
    Row("Stream.__repr__", "repr({stream})", laws.a_text, _STREAM, share=0.3),
    Row(
        "Stream.__setattr__",
        "setattr({stream}, {attribute}, 3)",
        laws.anything,
        {**_STREAM, "attribute": values.plain_names},
        speaks=("Stream",),
        share=0.2,
    ),
    Row(
        "Stream.__delattr__",
        "delattr({stream}, {attribute})",
        laws.anything,
        {**_STREAM, "attribute": values.plain_names},
        speaks=("Stream",),
        share=0.2,
    ),
    Row(
        "Streams",
        "ks.Streams({key}, {names})",
        laws.streams,
        {**KEY, "names": values.names_of},
        share=1.0,
    ),
    Row(
        "Streams.next",
        "{streams}.next({name})",
        laws.streams_next,
        {**_STREAMS, "name": values.names},
        speaks=("Streams", "Streams.next"),
        share=1.0,
    ),
    Row(
        "Streams.__getitem__",
        "{streams}[{name}]",
        laws.stream,
        {**_STREAMS, "name": values.names},
        speaks=("Streams",),
    ),
    Row(
        "Streams.__contains__",
        "{name} in {streams}",
        laws.a_bool,
        {**_STREAMS, "name": values.names},
        speaks=("Streams",),
        share=0.3,
    ),
    Row(
        "Streams.__iter__",
        "list({streams})",
        laws.anything,
        _STREAMS,
        speaks=("Streams",),
        share=0.2,
    ),
    Row(
        "Streams.at",
        "{streams}.at({step})",
        laws.streams_at,
        {**_STREAMS, "step": values.start},
        share=1.5,
    ),
    Row("Streams.names", "{streams}.names", laws.anything, _STREAMS, share=0.1),
    Row(
        "Streams.tree_flatten",
        "take({streams}, 'tree_flatten')()",
        laws.anything,
        _STREAMS,
        share=0.1,
    ),
    Row(
        "Streams.tree_flatten_with_keys",
        "take({streams}, 'tree_flatten_with_keys')()",
        laws.anything,
        _STREAMS,
        share=0.1,
    ),
    Row(
        "Streams.tree_unflatten",
        "repr(ks.Streams.tree_unflatten(('a', 'b'), ({a}, {b})))",
        laws.a_text,
        {"a": of("stream", "0", "several"), "b": of("stream", "key", "holed")},
        share=0.3,
    ),
    *(
        Row(
            "Streams.__reduce__",
            call,
            laws.anything,
            _STREAMS,
            speaks=("Streams", "Stream"),
            share=0.1,
            contexts=("eager", "in_jit", "under_mesh"),
        )
        for call in (
            "pickle.loads(pickle.dumps({streams}))",
            "copy.deepcopy({streams})",
            "copy.copy({streams})",
        )
    ),
    Row("Streams.__dir__", "dir({streams})", laws.anything, _STREAMS, share=0.1),
    Row(
        "Streams.__eq__",
        "{streams} == {streams}",
        laws.anything,
        _STREAMS,
        speaks=("Streams", "Stream"),
        contexts=("eager", "under_mesh"),
    ),
    Row("Streams.__repr__", "repr({streams})", laws.a_text, _STREAMS, share=0.2),
    Row(
        "Streams.__setattr__",
        "setattr({streams}, {attribute}, 3)",
        laws.anything,
        {**_STREAMS, "attribute": values.plain_names},
        speaks=("Streams",),
        share=0.2,
    ),
    Row(
        "Streams.__delattr__",
        "delattr({streams}, {attribute})",
        laws.anything,
        {**_STREAMS, "attribute": values.plain_names},
        speaks=("Streams",),
        share=0.2,
    ),
)
