"""A third program, beside meshctl and the agent: it brings the payload onto a host, and takes it away again.

It runs on the host, by the standard library of Python 3.10 and later alone, as one file: a shell script that
finds a Python, with these modules behind it. Nothing of the payload runs before all of it has been verified.
"""
