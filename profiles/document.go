package profiles

import (
	"bytes"
	"fmt"
	"strings"
)

const documentHead = `<!-- Generated from the table in profiles: go test ./profiles -run Document -update -->
# Configuration

What an instance is given comes from its profiles, in their order, and then from its own keys and devices:
later wins. A device replaces an earlier one of the same name as a whole. Names and meanings
are LXD's. Every value is text; an empty one means the key's default, also where a profile says
otherwise (for ` + "`environment.*` and `user.*`" + ` it is an empty text).

## Keys

`

const documentValues = `
Kinds of values:

- **bool**: ` + "`true` or `false`; `1`, `yes`, `on`, `0`, `no` and `off`" + ` are understood too.
- **size**: a whole number of bytes, or of one of ` + sizeUnits + `.
  The units without an i are powers of 1000, those with one are powers of 1024.
- **CPUs**: a plain number is how many, and the kernel chooses which; a list of numbers and ranges
  (` + "`0-3,5`" + `) is which ones, counted from 0.
- **hardware address**: six bytes in hexadecimal.
- **interface**, **network**: 1 to 15 letters, digits and ` + "`. _ -`" + `.
- **address**: IPv4 or IPv6. **addresses**, **list**: one or more, with commas between them.
- **path**: absolute, without ` + "`..`" + `.

## Devices

A device has a name and options, one of which is its type. One option is set with the key
` + "`devices.NAME.OPTION`" + `.
Of a running instance a device comes and goes at once where all its options take effect at once.
`

const documentProfile = `
## Profile files

` + "```yaml" + `
name: web
description: What every web server gets
config:
  boot.autostart: true
  limits.memory: 512MiB
devices:
  eth0:
    type: nic
    network: sysbr0
  data:
    type: disk
    source: /srv/data
    path: /mnt/data
    readonly: true
` + "```" + `

Unknown fields, keys that stand there twice, references (` + "`*name`" + `) and values that are not text are errors.
`

const documentNetworks = `
## Networks

A managed network is a bridge with subnets of its own (` + "`sysctl network create lab ipv4.address=10.20.0.1/24`" + `). Names and meanings
of its keys are LXD's but for ` + "`dns.host` and `security.isolation`" + `. What takes effect at the next start does so in the guests; the bridge has
it at once.

`

// Document returns doc/config.md: the whole table in Markdown.
func Document() []byte {
	var b bytes.Buffer
	b.WriteString(documentHead)
	table(&b, "Key", Keys())
	b.WriteString(documentValues)
	for _, t := range DeviceTypes() {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n", t.Type, t.Doc)
		table(&b, "Option", t.Options)
	}
	b.WriteString(documentNetworks)
	table(&b, "Key", NetworkKeys())
	b.WriteString(documentProfile)
	return b.Bytes()
}

func table(b *bytes.Buffer, head string, keys []Key) {
	fmt.Fprintf(b, "| %s | Type | Default | Takes effect | Example | Meaning |\n", head)
	b.WriteString("|---|---|---|---|---|---|\n")
	for _, k := range keys {
		effect := "next start"
		if k.Live {
			effect = "at once"
		}
		value := k.Default
		switch {
		case k.Required:
			value = "required"
		case value == "":
			value = "–"
		}
		cells := []string{"`" + k.Name + "`", k.Type, value, effect, "`" + k.Example + "`", k.Doc}
		for i, c := range cells {
			cells[i] = strings.NewReplacer("|", `\|`, "\n", `\n`).Replace(c)
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}
