"""The proxy agent: a program of its own, which makes a Linux host a full workload of the mesh.

It runs on hosts with Python 3.10 or newer, and needs grpcio, protobuf and cryptography, and nothing else. Of
meshctl it uses `errors` alone.
"""
