"""The command ``mtvit``: its own commands, and those that plugins add."""

import click

from mtvit_core.cli.convert import convert_command
from mtvit_core.cli.deploy.export import export_command
from mtvit_core.cli.deploy.profile import profile_command
from mtvit_core.cli.errors import OneLineErrors, verbose_option
from mtvit_core.cli.hub.push import push_command
from mtvit_core.cli.models import models_command
from mtvit_core.cli.new_plugin import new_plugin_command
from mtvit_core.cli.options import require_sound_plugins, strict_option
from mtvit_core.cli.plugins import plugins_command
from mtvit_core.cli.predict import predict_command
from mtvit_core.cli.serving.serve import serve_command
from mtvit_core.plugins.registry import registry
from mtvit_core.threads import wait_passively


class WithPlugins(OneLineErrors):
    """A group that asks the plugins for commands when one is not its own; a broken plugin costs one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, sorted."""
        return sorted([*super().list_commands(ctx), *registry().commands])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        found = registry().commands.get(cmd_name)
        if found is None:
            _report_broken()
            return None
        return found.command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands into the help."""
        super().format_commands(ctx, formatter)
        _report_broken()


def _report_broken() -> None:
    for broken in registry().broken:
        click.echo(f"warning: {broken}", err=True)


@click.group(cls=WithPlugins, context_settings={"max_content_width": 100})
@strict_option
@verbose_option
@click.version_option(package_name="mtvit-core")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Predict with multi-task ViTs, convert published checkpoints and manage task plugins."""
    wait_passively()
    if ctx.invoked_subcommand != "plugins":  # which lists them all, and then ends with the same code
        require_sound_plugins(ctx)


main.add_command(convert_command)
main.add_command(export_command)
main.add_command(models_command)
main.add_command(new_plugin_command)
main.add_command(plugins_command)
main.add_command(predict_command)
main.add_command(push_command)
main.add_command(serve_command)
main.add_command(profile_command)
