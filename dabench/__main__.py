"""``python -m dabench``: the command line where its script is not on the path."""

from dabench.cli.main import main

if __name__ == "__main__":
    main()
