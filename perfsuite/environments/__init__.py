"""Python environments: what a SPEC means, how one is built, which versions lie between."""
