"""The host's identity: a key that is made here, certificates for it, and the roots to trust.

settings      whom to ask for which certificate, and when again
credentials   key, certificates and roots, as everybody else uses them
keys          makes keys and signing requests, checks certificates; needs `cryptography`
apart         has `keys` work in a process of its own, which ends: the agent's memory stays small
store         the folder where all that outlives a restart
roots         which certificates are trusted, and who said so
authority     istiod's certificate authority, over gRPC
renewal       when to ask
identity      keeps the credentials fresh, as long as the agent runs
by_hand       what a person does with them: `meshctl-agent csr` and `certificate`
"""
