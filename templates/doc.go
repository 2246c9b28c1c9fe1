// Package templates owns where an instance's OS comes from: the catalogue of built-in and user
// templates, building a tree from the first of a template's sources that works (a bootstrap tool, an archive, a
// disk image, a directory, a registry of OCI images, an image server), the cache of what was downloaded for that, unpacking tarballs
// and copying directories and disk images into a tree, packing a tree again, finding out which OS a tree holds (Detect) and making it ready for life
// in a container (Prepare).
//
// Every tree and every archive is hostile input: nothing here follows a symbolic link of the tree out
// of the tree. Nothing here knows instances, images or layers; making a tree durable (syncfs) and
// removing a half-made one is the caller's.
package templates
