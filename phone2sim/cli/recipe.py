"""`phone2sim recipe`: check a recipe, print it whole, or print the schema of recipe files."""

from __future__ import annotations

from typing import Annotated

import typer

from phone2sim.cli.options import Json, Quiet, Split
from phone2sim.cli.output import output


def recipe(
    name: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file (YAML), or the name of a built-in recipe.")] = "default",
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of recipe files instead.")] = False,
    split: Annotated[Split, typer.Option("--split", help="train, or ood: the recipe's ranges out of distribution.")] = Split.train,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a recipe and print it with all it extends.

    Errors name the file, the line, the key and the valid keys. An editor takes the schema for completion.
    """
    with output(json=json, quiet=quiet) as o:
        import json as text

        from rich.text import Text

        from phone2sim.augment.recipe import load_recipe, recipe_schema

        if schema:
            o.stream.write(text.dumps(recipe_schema(), indent=1, ensure_ascii=False) + "\n")
            return
        found = load_recipe(name).for_split(split.value)
        o.result(found.model_dump(mode="json"))
        o.show(Text(found.to_yaml().rstrip()))
