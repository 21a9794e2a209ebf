"""What the user should know before believing a figure: checks with codes, silent when all is well.

One file a kind of check; each is a function from plain facts to a `finding.Finding`, or to nothing.
`docs/checks.md` says of each code what it means, how it is found, and what to do.
"""
