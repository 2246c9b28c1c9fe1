// Package roottest runs the scripts under testdata against the real program on this machine: real kernel,
// liblxc, bridge and overlay. Before and after each script it takes an inventory of the host; a
// difference fails the script. It holds tests only.
package roottest
