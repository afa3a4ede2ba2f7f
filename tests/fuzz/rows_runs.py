"""What a run needs besides: saving, agreement, the manifest, the audit."""

from __future__ import annotations

from tests.fuzz import laws, values
from tests.fuzz.row import Row
from tests.fuzz.values import of

_DUMPED = of(
    "text",
    "text",
    "ks.dumps(key)",
    "ks.dumps([stream])",
    "ks.dumps(streams)",
    "text[:-9]",
    "text.replace('1', '2')",
    "text.replace('threefry2x32', 'rbg')",
    "'{}'",
    "'[]'",
    "'null'",
    "'[' * 20000",
    "json.dumps(json.loads(text), indent=1)",
    "text.replace('\"5\"', '\"9' + '9' * 5000 + '\"')",
)
_WORDS = of(
    "words",
    "words",
    "ks.to_words(key)",
    "ks.to_words(streams)",
    "{}",
    "{**words, 'w': xs}",
    "Torn()",
    "{**words, 'keystream_0': xs}",
    "{**words, 'keystream': ids}",
    "{'keystream': words['keystream']}",
)
_LIKE = of(
    "like",
    "like",
    "None",
    "key",
    "[stream]",
    "streams",
    "{**like, 'key': 0}",
    "dict(reversed(like.items()))",
)
_REPORT = {"report": of("report", "report", "clean")}
_TIMEOUT = {"timeout": of("60.0", "5", "np.float32(3)", "1e308", "float('inf')")}

ROWS = (
    Row(
        "check_distinct",
        "ks.check_distinct({keys}{options})",
        laws.nothing,
        {"keys": values.some_keys},
        _TIMEOUT,
        share=1.0,
    ),
    Row(
        "check_replicated",
        "ks.check_replicated({key}{options})",
        laws.nothing,
        {"key": values.some_keys},
        _TIMEOUT,
        share=1.0,
    ),
    Row(
        "agree_on_seed",
        "ks.agree_on_seed({seed}{options})",
        laws.agreed,
        {"seed": values.ints | values.scalars | of("None")},
        _TIMEOUT,
        share=3.0,
    ),
    Row("dumps", "ks.dumps({tree})", laws.dumped, {"tree": values.key_trees}, share=3.0),
    Row("to_words", "ks.to_words({tree})", laws.dumped, {"tree": values.key_trees}, share=2.0),
    Row(
        "loads",
        "ks.loads({text}{options})",
        laws.loaded,
        {"text": _DUMPED | values.texts},
        {"like": _LIKE},
        share=3.0,
    ),
    Row(
        "from_words",
        "ks.from_words({words}{options})",
        laws.loaded,
        {"words": _WORDS},
        {"like": _LIKE},
        share=2.0,
    ),
    Row("manifest", "ks.manifest()", laws.a_dict, {}, share=0.02, contexts=("eager", "in_jit")),
    Row(
        "check_manifest",
        "ks.check_manifest({manifest})",
        laws.a_dict,
        {
            "manifest": of(
                "saved",
                "json.loads(json.dumps(saved))",
                "{**saved, 'devices': 3}",
                "{**saved, 3: 4}",
                "{**saved, 'scheme': 7}",
                "{**saved, 'jax_enable_x64': True}",
                "{}",
            )
        },
        share=0.1,
        contexts=("eager", "eager", "in_jit"),
    ),
    Row(
        "check_manifest",
        "ks.check_manifest({{**saved, {entry}: {value}}})",
        laws.a_dict,
        {
            "entry": values.plain_names
            | of(
                "'scheme'",
                "'devices'",
                "'manifest'",
                "'jax'",
                "'jax_enable_x64'",
                "'XLA_FLAGS'",
                "'ks.key(\"a seed\")'",
            ),
            "value": values.ints | values.texts,
        },
        share=0.2,
        contexts=("eager",),
    ),
    Row(
        "accelerate",
        "ks.accelerate({enabled}{options})",
        laws.a_bool,
        {"enabled": of("True", "False")},
        {"clear_caches": of("False")},
        share=0.2,
        contexts=("eager", "in_jit"),
    ),
    Row(
        "audit",
        "ks.audit({fun}, {key}{options})",
        laws.anything,
        {
            "fun": of("one", "draw", "key_of", "none_of", "raises"),
            "key": values.a_key | values.array_trees,
        },
        {"run": of("False", "True")},
        contexts=("eager", "in_jit", "under_mesh"),
        share=0.6,
    ),
    Row(
        "recording",
        "enter(ks.recording({options}))",
        laws.anything,
        {},
        {"run": of("3")},
        share=0.1,
        contexts=("eager", "in_jit"),
    ),
    Row(
        "Report.at_least",
        "{report}.at_least({level})",
        laws.anything,
        {**_REPORT, "level": of("'error'", "'warning'", "'note'", "'info'")},
        speaks=("Report.at_least",),
        share=0.4,
    ),
    Row(
        "Report.raise_if_found",
        "{report}.raise_if_found({level})",
        laws.nothing,
        {**_REPORT, "level": of("'error'", "'warning'")},
        speaks=("Report.raise_if_found", "audit"),
        share=0.4,
    ),
    *(
        Row(f"Report.{name}", f"{{report}}.{name}()", law, _REPORT, share=0.05, contexts=("eager",))
        for name, law in (
            ("to_json", laws.some_json),
            ("to_sarif", laws.some_json),
            ("to_html", laws.a_text),
            ("summary", laws.anything),
        )
    ),
    *(
        Row(
            f"Report.{name}",
            f"{{report}}.{name}",
            laws.anything,
            _REPORT,
            share=0.05,
            contexts=("eager",),
        )
        for name in (
            *("subject", "findings", "silenced", "counts", "lineage", "unseen", "keys"),
            *("ok", "complete"),
        )
    ),
    Row(
        "Report.__setattr__",
        "setattr({report}, {attribute}, 3)",
        laws.anything,
        {**_REPORT, "attribute": values.plain_names},
        speaks=("Report",),
        share=0.1,
    ),
    Row(
        "Report.__delattr__",
        "delattr({report}, {attribute})",
        laws.anything,
        {**_REPORT, "attribute": values.plain_names},
        speaks=("Report",),
        share=0.1,
    ),
    *(
        Row(f"Report.{name}", f"{call}", laws.anything, _REPORT, share=0.05, contexts=("eager",))
        for name, call in (
            ("__str__", "str({report})"),
            ("__repr__", "repr({report})"),
            ("__hash__", "hash({report})"),
            ("__dir__", "dir({report})"),
            ("__eq__", "{report} == report"),
            ("__reduce__", "pickle.loads(pickle.dumps({report}))"),
        )
    ),
)
