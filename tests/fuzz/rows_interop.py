"""To and from other libraries; one that isn't installed is refused in our words, too."""

from __future__ import annotations

from tests.fuzz import laws, values
from tests.fuzz.row import KEY, Row
from tests.fuzz.values import of

ROWS = (
    Row(
        "interop.int_seed",
        "interop.int_seed({key}, bits={bits})",
        laws.anything,
        {**KEY, "bits": values.count | of("64", "256", "257")},
        speaks=("int_seed",),
    ),
    *(
        Row(
            f"interop.{name}",
            f"interop.{name}({{key}})",
            laws.anything,
            KEY,
            speaks=(name,),
            share=0.5,
        )
        for name in ("seed_sequence", "numpy_generator", "python_random")
    ),
    Row(
        "interop.torch_generator",
        "interop.torch_generator({key})",
        laws.anything,
        KEY,
        speaks=("torch_generator",),
        share=0.2,
    ),
    Row(
        "interop.to_nnx",
        "interop.to_nnx({streams})",
        laws.anything,
        {"streams": of("streams", "later", "mixed_streams", "unstreams", "gone_streams")},
        speaks=("to_nnx", "Streams"),
        share=0.5,
    ),
    Row(
        "interop.from_nnx",
        "interop.from_nnx({rngs})",
        laws.anything,
        {"rngs": of("interop.to_nnx(streams)", "streams", "key")},
        speaks=("from_nnx",),
        share=0.5,
    ),
    Row(
        "interop.to_stateful",
        "interop.to_stateful({stream})",
        laws.anything,
        {"stream": of("stream", "later", "last", "several", "holed", "gone_stream")},
        speaks=(
            "to_stateful",
            "Stream",
            *(f"Stream.{name}" for name in ("position", "words", "skip")),
        ),
        share=0.5,
    ),
    Row(
        "interop.from_stateful",
        "interop.from_stateful({rng})",
        laws.anything,
        {"rng": of("interop.to_stateful(later)", "stream", "key")},
        speaks=("from_stateful",),
        share=0.5,
    ),
)
