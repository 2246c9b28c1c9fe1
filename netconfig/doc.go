// Package netconfig owns the host's side of a managed network: the bridge with its addresses, NAT
// and firewall rules, the choice of subnets and addresses, and what the host must allow for it.
//
// The kernel is asked before it is told: everything that ensures is idempotent and cheap where
// nothing is missing. A link is ours when it is a bridge with the address BridgeMAC gives; a rule
// is ours when it stands in the network's own nftables table, or carries our comment in Docker's
// DOCKER-USER chain. Nothing else of the host is removed or flushed.
//
// Everything here works in the network namespace of the calling thread.
package netconfig
