// Package sysctl holds the nouns of the house: instances, images, layers,
// guests, configuration, networks, errors and names. Every other room speaks in
// these types, so a word means one thing in code, help, database and docs.
//
// The package does no I/O, reads no clock and imports the standard library only.
package sysctl
