"""The subcommands of `unisafe`, one file for each subject; a command imports heavy modules inside its function."""
