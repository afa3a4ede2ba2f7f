"""Recording at run time: which key words are really used, where, and in which program."""
