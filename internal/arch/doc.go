// Package arch owns the drawing of the house (doc/architecture.md) as data, and the test that every
// import obeys it. Nothing imports this package.
package arch
