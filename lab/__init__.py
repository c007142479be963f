"""What stands in for a rack on one machine: hosts, artifact mirror, GPUs, NFS mount, engine and model. See lab/README.md."""
