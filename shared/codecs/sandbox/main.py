"""The program of a child process: load the engine, give up everything else, say that it is ready, serve."""

from __future__ import annotations

from shared.codecs.frames import write_frame
from shared.codecs.sandbox.confine import confine
from shared.codecs.sandbox.serve import STDOUT, Compile, Server


def main(engine: str) -> None:
    """Serve one engine until the parent closes the pipe: `javascript`, or `formats` for all other kinds."""
    compile_source = load_engine(engine)
    confine()
    write_frame(STDOUT, b"{}")
    Server(compile_source).serve()


def load_engine(engine: str) -> Compile:
    """What compiles sources of this engine's kinds; everything that it needs is imported afterwards."""
    if engine == "javascript":
        from shared.codecs.sandbox.kinds.javascript import compile_javascript

        return compile_javascript
    from shared.codecs.sandbox.formats import compile_format

    return compile_format
