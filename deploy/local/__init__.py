"""The embedded stack: every service of cilake on one machine, without root, containers or accounts.

`python3 -m deploy.local help` (or `make help`) lists what it does. Until the environments exist only the
standard library is imported here.
"""
