"""`python -m callreel`."""

from callreel.cli.main import main

if __name__ == "__main__":
    main()
