package main

// early.c is C code that runs before main.

// #cgo LDFLAGS: -lpthread
import "C"
