"""The orders in which programs use keys, each as one endless stream of bits.

A layout is a pure function `block(key, index)`: the words that one key makes in one turn.
All of them are built on the public helpers, so that what a battery reads are the keys and
draws that people get.
"""
