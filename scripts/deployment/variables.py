"""The table of settings in docs/deploy.md, made from the model; `python -m scripts.deployment.variables` writes it."""

from __future__ import annotations

from scripts.deployment.commands import ROOT
from shared.runtime.settings import ALL, Variable, list_variables

DOCUMENT = ROOT / "docs" / "deploy.md"
BEGIN, END = "<!-- settings -->\n", "<!-- /settings -->"


def main() -> None:
    """Put the table where it belongs."""
    DOCUMENT.write_text(insert_table(DOCUMENT.read_text()))


def insert_table(text: str) -> str:
    """`text` with the table between its marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{make_table()}{END}{rest.partition(END)[2]}"


def make_table() -> str:
    """Every variable there is, as Markdown."""
    rows = [_make_row(variable) for variable in list_variables()]
    return "\n".join(["| variable | what it holds | default | read by |", "|---|---|---|---|", *rows, ""])


def _make_row(variable: Variable) -> str:
    readers = (
        "all" if variable.used_by == ALL else ", ".join(_mark(name, variable) for name in variable.used_by)
    )
    if variable.needed_by == ALL:
        readers = "**all**"
    name = f"`{variable.name}`" + (" (secret)" if variable.is_secret else "")
    default = f"`{variable.default}`" if variable.default else ""
    return f"| {name} | {variable.about} | {default} | {readers} |"


def _mark(name: str, variable: Variable) -> str:
    return f"**{name}**" if name in variable.needed_by else name


if __name__ == "__main__":
    main()
