"""Writers of Markdown for the directive `generated`. Each writes tables or sections from the program."""
