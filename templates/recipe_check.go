package templates

import (
	"fmt"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sysctl-os/sysctl"
)

// form is what a value looks like.
type form struct {
	pattern string // of ECMA and RE2 alike
	what    string // "is not …"
}

// forms are the forms that fields of a recipe have. What goes into a tool's arguments or a script is never an option,
// never a list and has no character that means something to a shell.
func forms() map[string]form {
	return map[string]form{
		"word":     {`^[a-zA-Z0-9][a-zA-Z0-9.+_:~/-]*$`, "a plain word"},
		"ref":      {`^[a-zA-Z0-9][a-zA-Z0-9._/:-]{0,62}$`, "a name: letters, digits and . _ - / : after the first, at most 63"},
		"version":  {`^[0-9]+(\.[0-9]+)*$`, "a version: numbers with dots between them"},
		"variable": {`^[a-z][a-z0-9_]*$`, "a variable's name: small letters, digits and _"},
		"date":     {`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`, "a date YYYY-MM-DD"},
		"duration": {`^[1-9][0-9]{0,4}[sm]$`, "a time such as 90s or 2m"},
		"process":  {`^[a-zA-Z0-9(][a-zA-Z0-9.+_:()-]{0,14}$`, "a process's name as ps -e has it, at most 15 characters"},
		"port":     {`^[1-9][0-9]{0,4}$`, "a TCP port"},
		"mode":     {`^[0-7]{3,4}$`, `an octal mode such as "0644"`},
		"path":     {`^/[^\x00-\x1f]+$`, "a clean absolute path"},
		"below":    {`^[a-zA-Z0-9$][a-zA-Z0-9._$/+-]*$`, "a path below the mirror"},
		"url":      {`^(https?|file)://[^\s]*$`, "an http, https or file URL"},
		"place":    {`^((https?|file)://|/)[^\s]+$`, "an http, https or file URL or an absolute path"},
		"sha256":   {`^[0-9a-f]{64}$`, "a SHA-256 in 64 hexadecimal digits"},
		"digest":   {`^sha256:[0-9a-f]{64}$`, `a digest "sha256:" and 64 hexadecimal digits`},
		"renderer": {`^(ifupdown (0\.[678]|ng|busybox)|networkd|networkmanager|netplan|ifcfg-redhat el[5678]|ifcfg-suse (ifup|wicked)|` +
			`netifrc (baselayout1|openrc)|rc\.inet1 1[45]|runit|netctl|none)$`, `a kind of network files such as "ifupdown 0.8" or networkd`},
		"signal": {`^SIG(PWR|INT|TERM|CONT|HUP|QUIT|WINCH|USR[12]|RTMIN(\+([0-9]|[12][0-9]|30))?)$`, "a signal such as SIGPWR or SIGRTMIN+3"},
		"prep":   {`^-[a-z][a-z0-9-]*$`, "a step of preparation with a minus before its name: -console"},
		"image":  {`^[a-z0-9][a-z0-9.-]*(:[0-9]+)?/[a-z0-9][a-z0-9._/-]*(:[a-zA-Z0-9_][a-zA-Z0-9._-]*)?$`, "REGISTRY/REPOSITORY:TAG"},
	}
}

// rules are forms that are compiled when they are first needed, for any number of recipes.
type rules struct {
	forms map[string]form
	ready map[string]*regexp.Regexp
}

func newRules() *rules { return &rules{forms(), map[string]*regexp.Regexp{}} }

func (r *rules) match(is, s string) bool {
	if r.ready[is] == nil {
		r.ready[is] = regexp.MustCompile(r.forms[is].pattern)
	}
	return r.ready[is].MatchString(s)
}

// checker collects the bad fields of a recipe with their lines.
type checker struct {
	*rules
	errs sysctl.FieldErrors
	data []byte
	root *yaml.Node // nil until a line is asked for
	vars map[string]string
}

// bad notes a bad field. path is "os.arch" or "source[0].suite".
func (c *checker) bad(path, format string, args ...any) {
	c.errs.Add(path, "%s (line %d)", fmt.Sprintf(format, args...), c.line(path))
}

func (c *checker) line(path string) int {
	if c.root == nil {
		c.root = new(yaml.Node)
		_ = yaml.Unmarshal(c.data, c.root) // it was decoded once already
	}
	return line(c.root, path)
}

// check returns every bad field as sysctl.FieldErrors. name is what the recipe must be called, data its text.
func (r recipe) check(name string, data []byte, by *rules) error {
	c := &checker{rules: by, data: data, vars: r.Vars}
	c.fields("", "", reflect.ValueOf(r))
	if r.Name != name && r.Name != "" {
		c.bad("name", "must be %q, as the file is called", name)
	}
	if _, err := time.Parse(time.DateOnly, r.EOL); r.EOL != "" && err != nil && c.match("date", r.EOL) {
		c.bad("eol", "%q is no day of the calendar", r.EOL)
	}
	if r.Guest.InitVersion != "" && r.Guest.Init == "" {
		c.bad("guest.init_version", "is of no init: guest.init is missing")
	}
	if r.Guest.LibcVersion != "" && r.Guest.Libc == "" {
		c.bad("guest.libc_version", "is of no C library: guest.libc is missing")
	}
	for i, word := range r.Prep {
		if _, err := ParsePrep([]string{word}); err != nil && c.match("prep", word) {
			c.bad(at("prep", i), "%v", err)
		}
	}
	c.test(r.Test)
	for i, s := range r.Source {
		c.source(at("source", i), s, r)
	}
	slices.SortStableFunc(c.errs, func(a, b sysctl.FieldError) int { return c.line(a.Field) - c.line(b.Field) })
	return c.errs.Err()
}

// fields checks the fields of a struct. kind is the type of the source that holds them, or "".
func (c *checker) fields(prefix, kind string, v reflect.Value) {
	if s, ok := v.Interface().(recipeSource); ok {
		if kind = s.Type; !slices.Contains(sourceTypes(), kind) {
			f := v.Type().Field(0)
			c.text(prefix+f.Tag.Get("yaml"), f.Tag, kind)
			return // what else it has is a matter of its type
		}
	}
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		name, value := prefix+tag.Get("yaml"), v.Field(i)
		needed := tag.Get("need") == "yes" || kind != "" && slices.Contains(strings.Fields(tag.Get("need")), kind)
		in := strings.Fields(tag.Get("in"))
		switch {
		case value.Kind() == reflect.Struct:
			c.value(name, kind, tag, value)
		case value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0:
			if needed {
				c.bad(name, "is missing: %s", tag.Get("doc"))
			}
		case kind != "" && len(in) > 0 && !slices.Contains(in, kind):
			c.bad(name, "is nothing that a source of type %s has", kind)
		default:
			c.value(name, kind, tag, value)
		}
	}
}

// value checks one value, or all of a list or map.
func (c *checker) value(name, kind string, tag reflect.StructTag, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		c.text(name, tag, v.String())
	case reflect.Struct:
		c.fields(name+".", kind, v)
	case reflect.Slice:
		for i := range v.Len() {
			c.value(at(name, i), kind, tag, v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			c.text(name+"."+key.String(), tag, key.String())
		}
	}
}

// text checks one string by its tags.
func (c *checker) text(name string, tag reflect.StructTag, s string) {
	if words := strings.Fields(tag.Get("one")); len(words) > 0 {
		switch {
		case slices.Contains(words, s):
		case len(words) == 1:
			c.bad(name, "must be %s", words[0])
		default:
			c.bad(name, "%q is not known: %s", s, strings.Join(words, ", "))
		}
		return
	}
	is := tag.Get("is")
	if is == "" {
		return
	}
	if unset := c.unset(s); unset != "" {
		if _, ok := c.vars[unset]; !ok {
			c.bad(name, "${%s} is not among the vars", unset)
		}
		return // its form is checked when it is set
	}
	if !c.match(is, s) || is == "path" && path.Clean(s) != s {
		c.bad(name, "%q is not %s", s, c.forms[is].what)
	}
}

// unset is the first variable that is named in s and has no value, or "".
func (c *checker) unset(s string) string {
	if !strings.Contains(s, "${") {
		return ""
	}
	if m := variables().FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}

// source checks what hangs together in one source.
func (c *checker) source(field string, s recipeSource, r recipe) {
	for i, arch := range s.Arch {
		if !slices.Contains(r.OS.Arch, arch) {
			c.bad(at(field+".arch", i), "%q is not among os.arch", arch)
		}
	}
	if s.Type != "bootstrap" {
		if !s.Complete && len(r.Packages.Install) > 0 && r.Packages.Manager == "" {
			c.bad("packages.manager", "is missing: %s is no whole system", field)
		}
		return
	}
	rpm := s.isRPM(r)
	needed := map[string]bool{"suite": !rpm && s.Suite == "", "release": rpm && s.Release == "", "mirror": rpm && s.Mirror == "", "repos": rpm && len(s.Repos) == 0}
	for _, name := range []string{"suite", "release", "mirror", "repos"} {
		if needed[name] {
			c.bad(field+"."+name, "is missing")
		}
	}
	for i, repo := range s.Repos {
		if repo.GPGKey == "" && strings.HasPrefix(s.Mirror, "http://") {
			c.bad(at(field+".repos", i)+".gpgkey", "is missing: nobody vouches for packages got by http")
		}
	}
}

// test checks of the boot test what its forms do not say.
func (c *checker) test(t recipeTest) {
	for i, words := range t.MayFail {
		if _, err := regexp.Compile(words); err != nil {
			c.bad(at("test.may_fail", i), "%q is no regular expression: %s", words, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
	}
	for i, port := range t.Listening {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil && c.match("port", port) {
			c.bad(at("test.listening", i), "%s is no TCP port: the highest is 65535", port)
		}
	}
	for i, command := range t.Commands {
		if strings.TrimSpace(command) == "" {
			c.bad(at("test.commands", i), "is empty")
		}
	}
}

// bootTest is a test that is right.
func (t recipeTest) bootTest() sysctl.BootTest {
	b := sysctl.BootTest{MayFail: there(t.MayFail), Running: there(t.Running), Commands: there(t.Commands), Listening: []uint16{}}
	b.Timeout, _ = time.ParseDuration(t.Timeout)
	for _, port := range t.Listening {
		n, _ := strconv.ParseUint(port, 10, 16)
		b.Listening = append(b.Listening, uint16(n))
	}
	return b
}

// there is a list that is there, be it empty.
func there(words []string) []string { return append([]string{}, words...) }
