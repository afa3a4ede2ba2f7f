"""How the site is built: `python -m sphinx -W --keep-going -b html docs docs/_build/html`."""

import importlib.metadata
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_site")]
# The kernels of the notebooks start elsewhere, and import the same keystream as this build.
places = str(HERE.parent), os.environ.get("PYTHONPATH", "")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, places))

project = "keystream"
author = "the keystream developers"
project_copyright = "the keystream developers, Apache-2.0"
release = importlib.metadata.version("keystream")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docstrings",
    "pictures",
]
# Names of JAX, NumPy and flax are links where the build may reach the network.
if os.environ.get("READTHEDOCS"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "jax": ("https://docs.jax.dev/en/latest/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "flax": ("https://flax.readthedocs.io/en/latest/", None),
    }
exclude_patterns = ["_build", "_site"]

# Pages are Markdown that also reads well on GitHub, whose names for headings are used.
myst_heading_anchors = 4

# Pages with a head of jupytext's are notebooks, and run. The others run in the tests.
nb_execution_mode = "auto"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 600

# A signature shows its types, one argument a line where it is long.
autodoc_typehints = "signature"
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_type_aliases = {
    name: name for name in ("F", "Leaf", "Numbers", "Part", "Position", "Seed", "Shape")
}
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "furo"
pygments_style = "friendly"
pygments_dark_style = "github-dark"
html_title = "keystream"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
