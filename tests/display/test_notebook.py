"""Notebooks: streams, reports and keys as HTML, which shows what there is and no key's words."""

from __future__ import annotations

import html.parser
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import keystream as ks
from keystream._display import html as _html
from tests.fresh import python

WORDS = (0x5EC2E701, 0x7E11A50F)


class Page(html.parser.HTMLParser):
    """What a browser makes of HTML: the text, and tags that aren't closed or don't fit."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.told: list[str] = []
        self.feed(text)
        self.close()
        self.wrong += self.open
        self.text = " ".join(" ".join(self.told).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.told.append(data)


def seen(text: str | None) -> str:
    """Return what a reader sees of HTML that is well formed."""
    assert text is not None
    page = Page(text)
    assert page.wrong == []
    return page.text


def of(value: Any) -> str:
    """Return what a reader sees of a stream or a report."""
    return seen(value._repr_html_())


def printed(key: jax.Array) -> str:
    return ks.fingerprint(key).partition(":")[2]


@pytest.mark.fast
def test_stream() -> None:
    """A stream shows its position and its key's fingerprint; its text stays what it was."""
    key = ks.key(42)
    stream = ks.Stream(key).skip(2**40)
    assert of(stream) == f"Stream position key {2**40} {ks.fingerprint(key)}"
    assert repr(stream) == f"Stream(key<fry>[], position={2**40})"


@pytest.mark.fast
def test_streams() -> None:
    """Streams show a row for each name, and say how many more there are."""
    streams = ks.Streams(ks.key(42), ("params", b"data")).next(b"data")[1]
    one, two = (ks.fingerprint(ks.derive(ks.key(42), name)) for name in ("params", b"data"))
    told = f"2 names name position key 'params' 0 {one} b'data' 1 {two}"
    assert of(streams) == f"Streams {told}"
    many = ks.Streams(ks.key(42), tuple(map(str, range(_html.NAMES + 5))))
    assert of(many).endswith("and 5 more")


@pytest.mark.fast
def test_keys() -> None:
    """A key array shows its shape, its implementation and the first few fingerprints."""
    key = ks.key(42)
    assert seen(_html.keys_to_html(key)) == f"key threefry2x32 fingerprint {printed(key)}"
    keys = ks.keys(key, (3, 4))
    told = seen(_html.keys_to_html(keys))
    assert told.startswith("keys threefry2x32, shape (3, 4) index fingerprint 0, 0 ")
    assert [printed(k) in told for k in keys.ravel()] == [True] * _html.SHOWN + [False] * 4
    assert told.endswith("1, 3 " + printed(keys[1, 3]) + " and 4 more")
    assert seen(_html.keys_to_html(ks.keys(key, 0))) == "keys threefry2x32, shape (0,)"
    assert _html.keys_to_html(jnp.arange(3)) is None
    assert _html.keys_to_html("key") is None


def test_keys_that_cannot_be_read() -> None:
    """Traced, donated, refused, sharded and very many keys are shown, too."""
    shown: list[str] = []

    def look(key: jax.Array) -> jax.Array:
        shown.extend([seen(_html.keys_to_html(key)), of(ks.Stream(key))])
        return jax.random.bits(key)

    jax.jit(look)(ks.key(42))
    assert "key<fry>[], traced" in shown[0]
    assert "key<fry>[], traced" in shown[1]
    jax.vmap(look)(ks.keys(ks.key(42), 3))
    gone = jax.random.clone(ks.key(42))
    stream = ks.Stream(gone)
    gone.delete()
    assert "donated" in seen(_html.keys_to_html(gone))
    jax.tree.leaves(stream)[0].delete()
    assert "donated" in of(stream)
    assert "refuses" in seen(_html.keys_to_html(jax.random.key(1, impl="unsafe_rbg")))
    assert "ks.fingerprint(keys[i])" in seen(
        _html.keys_to_html(ks.keys(ks.key(42), _html.COPIED + 1))
    )
    mesh = jax.make_mesh((8,), ("data",))
    told = seen(_html.keys_to_html(ks.shard_keys(ks.key(42), mesh, P("data"))))
    assert "on 8 devices" in told
    assert printed(ks.keys(ks.key(42), 8)[7]) in told
    several = jax.vmap(ks.Stream)(ks.keys(ks.key(42), 3))
    assert "several" in of(several)
    assert of(jax.tree.map(lambda _: 1, several)) == "Stream position key … 1"
    names = ks.Streams(ks.key(42), ("a",))
    used = jax.tree.map(lambda s: s.next()[0], names, is_leaf=lambda x: isinstance(x, ks.Stream))
    assert of(used).endswith(f"'a' … {ks.fingerprint(ks.derive(ks.key(42), 'a', 0))}")
    placed = jax.device_put(ks.Streams(ks.key(42), ("a",)), NamedSharding(mesh, P()))
    assert "'a' 0 threefry2x32:" in of(placed)


def test_in_a_mapped_body() -> None:
    """A key that an eager mapped body closes over is shown, though its words can't be read."""
    mesh, key = jax.make_mesh((8,), ("data",)), ks.key(42)
    shown: list[str] = []

    def body() -> jax.Array:
        shown.append(seen(_html.keys_to_html(key)))
        return jnp.zeros(())

    jax.shard_map(body, mesh=mesh, in_specs=(), out_specs=P(), check_vma=False)()
    assert shown[0].startswith("key threefry2x32")


@pytest.mark.fast
def test_no_words() -> None:
    """The words of a key stand nowhere, neither in decimal nor in hexadecimal."""
    key = jax.random.wrap_key_data(np.array(WORDS, np.uint32))
    stream = ks.Stream(key)
    forms = [stream._repr_html_(), _html.keys_to_html(key), _html.keys_to_html(key[None])]
    for word in WORDS:
        assert not any(str(word) in str(form) or f"{word:x}" in str(form) for form in forms)
    assert f"{WORDS[0]:x}" in f"{np.asarray(jax.random.key_data(key))[0]:x}"  # a faulty one


@pytest.mark.fast
@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a&b\"'", "\x00\x1b\n", "\u202e"])
def test_escaped(name: str) -> None:
    """Whatever a name holds, it is text: no tag comes of it, and no control character."""
    shown = ks.Streams(ks.key(42), (name,))._repr_html_()
    assert Page(shown).wrong == []
    assert "<script" not in shown
    assert all(c.isprintable() for c in shown)
    assert repr(name)[1:-1] in Page(shown).text


def twice(key: jax.Array) -> jax.Array:
    """Draw twice."""
    return jax.random.normal(key) + jax.random.normal(key)


@pytest.mark.fast
def test_report() -> None:
    """A report shows what its page shows, in the notebook's colors; two in a row don't meet."""
    report = ks.audit(twice, ks.key(42))
    shown = str(report._repr_html_())
    told = seen(shown)
    assert told.startswith("Key audit of twice 1 error ; looked at 2 draws")
    assert "a key is drawn from twice" in told
    assert "Keys, from their roots to the draws" in told
    assert "<style>\n.keystream-report {" in shown
    assert " id=" not in shown
    assert "href" not in shown
    assert "<h1" not in shown
    assert "body {" not in shown
    assert ks.audit(jax.random.bits, ks.key(42))._repr_html_() != shown


@pytest.mark.fast
def test_report_that_is_recording() -> None:
    """A report that isn't filled yet has only its text."""
    with ks.recording() as report:
        assert report._repr_html_() is None
        jax.random.bits(ks.key(42))
    assert report._repr_html_() is not None


SHELL = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
def shown(code):
    value = shell.run_cell(code).result
    return shell.display_formatter.format(value)[0]
shell.run_cell("import jax, jax.numpy as jnp, keystream as ks")
assert set(shown("ks.key(42)")) == {"text/plain"}
assert set(shown("ks.Stream(ks.key(42))")) == {"text/plain", "text/html"}
before = shown("ks.key(42)")["text/plain"]
shell.run_line_magic("load_ext", "keystream")
both = shown("ks.key(42)")
assert both["text/plain"] == before and ks_print in both["text/html"], both
assert set(shown("jnp.arange(3)")) == {"text/plain"}
assert set(shown("[ks.key(42)]")) == {"text/plain"}
shell.run_line_magic("reload_ext", "keystream")
assert "text/html" in shown("ks.keys(ks.key(42), 3)")
shell.run_line_magic("unload_ext", "keystream")
assert set(shown("ks.key(42)")) == {"text/plain"}
shell.run_line_magic("load_ext", "keystream")
shell.run_cell("jax.jit(lambda key: [display(key), key][1])(ks.key(1))").raise_error()
html = shell.display_formatter.formatters["text/html"]
html.for_type(jax.Array, lambda value: "another")
shell.run_line_magic("unload_ext", "keystream")
assert shown("jnp.arange(3)")["text/html"] == "another"
shell.run_line_magic("load_ext", "keystream")
assert shown("jnp.arange(3)")["text/html"] == "another"
assert ks_print in shown("ks.key(42)")["text/html"]
shell.run_line_magic("unload_ext", "keystream")
assert shown("ks.key(42)")["text/html"] == "another"
"""


@pytest.mark.slow  # it needs IPython
def test_extension() -> None:
    """`%load_ext keystream` gives keys HTML beside their text; unloading takes it back."""
    pytest.importorskip("IPython")
    head = f"import jax\nks_print = {printed(ks.key(42))!r}\n"
    python(head + SHELL)


def test_loading_starts_nothing() -> None:
    """Loading the extension starts no backend, and needs no IPython to be looked for."""
    python(
        "import sys, jax, types\n"
        "import keystream\n"
        "assert not hasattr(keystream, 'no') and 'IPython' not in sys.modules\n"
        "assert 'keystream._display.ipython' not in sys.modules\n"
        "class Forms(dict):\n"
        "    def for_type(self, kind, form=None):\n"
        "        before = self.get(kind)\n"
        "        self.update({kind: form} if form else {})\n"
        "        return before\n"
        "forms = Forms()\n"
        "display = types.SimpleNamespace(formatters={'text/html': forms})\n"
        "shell = types.SimpleNamespace(display_formatter=display)\n"
        "keystream.load_ipython_extension(shell)\n"
        "assert list(forms) == [jax.Array]\n"
        "keystream.unload_ipython_extension(shell)\n"
        "assert not forms and 'IPython' not in sys.modules\n"
        "jax.config.update('jax_platforms', 'cpu')\n"
        "jax.config.update('jax_num_cpu_devices', 3)\n"
        "assert jax.device_count() == 3\n"
    )
