"""The command line: one file a command family. Importing any of them stays light; work is imported inside commands."""
