// Command sysctl-forward is one proxy device of a running instance: it takes connections on one side, the host's or the
// guest's, and makes each one anew on the other. It lives as long as the guest's init does, and is C alone (doc/adr/0014):
// the Go runtime in this program never comes to life.
//
// It is started by the manager. Its input is one packet on the socket that is file descriptor 3, with descriptors: of a file with
// the request, of the guest's init (a pidfd), of the guest's network, mount and user namespaces, of its root directory and of
// its mountinfo. The request is NUL-terminated strings: on which side it listens ("host" or "instance"); then "1" or "0" for whether the
// guest has a user namespace of its own, and whether it listens on paths in the guest's tree, over which the guest may mount something; who is
// root where it listens; owner, group and mode of listening unix sockets; the user and group it connects as; "1" where the PROXY protocol is
// spoken; and then pairs of endpoints, one that listens and one to connect to, of three strings each: "tcp", "udp" or
// "unix"; address or path; port. Its output is one packet: "." when all of them listen, or "!", an error number and why not.
package main

import "os"

import "C"

func main() {
	os.Stderr.WriteString("sysctl-forward: a part of sysctl, not to be called by hand\n")
	os.Exit(2)
}
