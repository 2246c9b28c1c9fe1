// Package lxc is the hand that holds liblxc: it renders a sysctl.Boot into lxc.* items (pure), starts it
// through the keeper, observes it, runs commands in it, freezes and stops it, and reads the probable
// cause of a failed start out of liblxc's log.
//
// Everything is under one run directory (a tmpfs): see paths.go. What runs is believed only when pid
// and start time agree with /proc.
package lxc
