"""Show values in notebooks, and suggest names; importing it registers the HTML of streams."""

from keystream._display import html as html
