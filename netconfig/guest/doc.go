// Package guest owns how a guest's own files say its identity and network: it finds out whose
// files configure the network (Probe) and renders the neutral model into them (Render).
//
// Rendering is pure: it reads a sysctl.Tree and returns changes. Paths are the guest's; none is
// ever joined to a path of the host. What is not ours is kept: foreign lines, foreign interfaces,
// modes of files. Ours is recognised by markers, so that it can be replaced and removed. A foreign file
// for an interface of ours is moved aside, and put back when the interface goes.
package guest
