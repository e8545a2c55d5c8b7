"""`python -m kgenre` is the command line."""

from kgenre.hybrid.cli import main

if __name__ == "__main__":
    main()
