"""Finds the real servers that the tests run against, and installs what is missing.

`python -m tests.kit.install` needs Python alone: this package imports nothing but the standard
library. Chromium, slapd and 389 Directory Server come from Debian's packages; kube-apiserver, etcd,
kubectl and Helm are taken from the machine, or built once from their Go modules into a cache. Other
people's relying parties and provider are put there too; of Node.js that needs `node` and `npm` on
the machine. Starting them is `tests.kit.servers`.
"""
