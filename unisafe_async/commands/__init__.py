"""The subcommands of `unisafe`, one file a subject; what is heavy is imported inside the command that needs it."""
