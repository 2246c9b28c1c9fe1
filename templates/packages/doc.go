// Package packages reads which packages are installed in a guest's tree, out of the guest's own databases (dpkg, apk,
// rpm), without its tools: they may be of another architecture or era, and the tree is hostile. Of rpm's databases it reads
// all three formats there have been (Berkeley DB hash, ndb, SQLite), as far as listing takes: every number in them is
// checked before it is used, and what is read is bounded.
package packages
