"""A store in custom resources of a Kubernetes cluster, shared by all replicas.

Owns the one door to the API server (`api`, opened by `access`), and what goes through it: state
documents (`backend`), what people write (`objects`), the Lease and the Secret of the sealing keys.
Nothing else of the server speaks to Kubernetes.
"""
