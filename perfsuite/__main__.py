"""`python -m perfsuite` is the command line, as `perfsuite` is."""

from perfsuite.cli import main

if __name__ == "__main__":
    main()
