"""The command `prune`: a machine that measures every night keeps what it needs."""

from __future__ import annotations

from pathlib import Path

import click

from perfsuite.errors import SettingsError
from perfsuite.settings import find_root, resolve_settings


@click.command()
@click.option("--out", help="Folder of records (.perfsuite).")
@click.option(
    "--keep",
    default=100,
    show_default=True,
    type=click.IntRange(1),
    help="Records of each kind that stay, whatever their age.",
)
@click.option(
    "--days",
    default=30,
    show_default=True,
    type=click.IntRange(1),
    help="What was used within so many days stays.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def prune(out: str | None, keep: int, days: int, dry_run: bool) -> None:
    """Remove old records, environments and compiled code from the folder of records.

    Baselines, references and thresholds are never touched.
    """
    settings = resolve_settings({"out": out}, find_root(Path.cwd()), flag="--")
    behind = [each.url for each in settings.mirrors if each.folder == settings.out]
    if behind:
        raise SettingsError(
            f"{behind[0]} is not pruned from here",
            hint="give the bucket a lifecycle rule for runs/, gates/ and bisections/",
        )
    from perfsuite.stores.prune import prune as remove

    verb = "would remove" if dry_run else "removed"
    for each in remove(settings.out, keep, days, dry=dry_run):
        if each.removed:
            freed = f"{each.freed_bytes / 2**20:.1f} MiB"
            click.echo(f"{each.kind}: {verb} {each.removed} ({freed}), {each.kept} kept")
