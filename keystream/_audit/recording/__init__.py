"""Record at run time which key words are used, where, and in which program."""
