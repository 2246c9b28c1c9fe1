package templates

import (
	"path"
	"strings"
)

// libc finds the C library by the loader that init, or else the shell, asks for.
func (d *detector) libc() {
	loader := interpreter(d.init1)
	for _, name := range []string{"/bin/sh", "/usr/bin/env"} {
		if loader == "" {
			loader = interpreter(d.read(name))
		}
	}
	g := &d.g
	switch name := base(loader); {
	case name == "":
		d.saw("C library: no program asks for a loader")
		return
	case strings.HasPrefix(name, "ld-musl"):
		g.Libc = "musl"
		// The version stands alone in the library; the database says it more plainly.
		g.LibcVersion = upstreamVersion(d.packageVersion("musl"))
		if g.LibcVersion == "" {
			g.LibcVersion = find(d.read(loader), `\x00(1\.\d\.\d{1,2})\x00`, `\x00(0\.\d\.\d{1,2})\x00`)
		}
	case strings.HasPrefix(strings.ToLower(name), "ld-uclibc"), strings.HasPrefix(strings.ToLower(name), "ld64-uclibc"):
		g.Libc = "uclibc"
		g.LibcVersion = find([]byte(base(d.resolve(loader))), `-(\d+\.[\d.]*\d)\.so`)
	default:
		g.Libc = "glibc"
		g.LibcVersion = d.glibc(path.Dir(loader))
	}
	d.saw("%s: %s %s", loader, g.Libc, g.LibcVersion)
}

// glibc returns the version of the library in the loader's directory or, where the distribution has one, in its
// directory for the architecture.
func (d *detector) glibc(dir string) string {
	dirs := []string{dir, "/lib", "/usr/lib", "/usr/lib64"}
	for _, lib := range []string{"/lib", "/usr/lib"} {
		entries, _ := d.t.ReadDir(lib)
		for _, e := range entries {
			if strings.Contains(e.Name(), "-linux-gnu") {
				dirs = append(dirs, path.Join(lib, e.Name()))
			}
		}
	}
	for _, dir := range dirs {
		at := d.resolve(path.Join(dir, "libc.so.6"))
		if at == "" {
			continue
		}
		if kernel := kernelNote(d.head(at, 64<<10)); kernel != "" {
			d.g.Kernel = kernel
			d.saw("%s: needs Linux %s or later", at, kernel)
		}
		// libc-2.5.so, as it was named up to 2.33.
		if v := find([]byte(base(at)), `^libc-(\d+\.\d+)`); v != "" {
			return v
		}
		if v := find(d.read(at), `GNU C Library [^\n]*version (\d+\.\d+)`); v != "" {
			return v
		}
	}
	return ""
}
