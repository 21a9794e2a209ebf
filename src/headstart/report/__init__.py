"""What a person sees: tables and progress in a terminal, pictures, the HTML page.

- `terminal`: progress and notices on stderr, tables on stdout
- `pictures`: plots and contact sheets
- `html`: the page in a bundle
"""
