"""The agent's DNS server: what the mesh knows it answers, about all else it asks the host's own resolvers.

server       the ports for datagrams; `connections` those for TCP
answering    which of the two answers a question
table        the names of the mesh
forwarding   asking the host's resolvers, which `resolvers` knows
packets      messages on the wire
"""
