"""Reading a call's audio in whatever form and place it is stored."""
