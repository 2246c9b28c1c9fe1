package templates

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// lvmParser reads the configuration language of LVM as far as metadata is written in it.
type lvmParser struct{ rest []byte }

// maxLVMDepth bounds sections in sections.
const maxLVMDepth = 16

// space skips blanks and comments.
func (p *lvmParser) space() {
	for {
		p.rest = bytes.TrimLeft(p.rest, " \t\r\n")
		if !bytes.HasPrefix(p.rest, []byte("#")) {
			return
		}
		_, p.rest, _ = bytes.Cut(p.rest, []byte("\n"))
	}
}

// take skips a character where it comes next.
func (p *lvmParser) take(c byte) bool {
	p.space()
	if len(p.rest) == 0 || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// word reads a name or number.
func (p *lvmParser) word() string {
	p.space()
	n := bytes.IndexAny(p.rest, " \t\r\n={}[],#\"")
	if n < 0 {
		n = len(p.rest)
	}
	w := string(p.rest[:n])
	p.rest = p.rest[n:]
	return w
}

// section reads up to the end of a section, which is not read.
func (p *lvmParser) section(depth int) (lvmSection, error) {
	s := lvmSection{}
	for {
		name := p.word()
		switch {
		case name == "":
			return s, nil
		case depth > maxLVMDepth:
			return nil, errors.New("too deep")
		case p.take('{'):
			below, err := p.section(depth + 1)
			if err != nil {
				return nil, err
			}
			if !p.take('}') {
				return nil, fmt.Errorf("section %s has no end", name)
			}
			s[name] = below
		case p.take('='):
			value, err := p.value()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			s[name] = value
		default:
			return nil, fmt.Errorf("%s has no value", name)
		}
	}
}

// value reads a number, a string or a list of them.
func (p *lvmParser) value() (any, error) {
	if !p.take('[') {
		return p.scalar()
	}
	list := []any{}
	for !p.take(']') {
		v, err := p.scalar()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		p.take(',')
	}
	return list, nil
}

// scalar reads a number or a string.
func (p *lvmParser) scalar() (any, error) {
	if !p.take('"') {
		return strconv.ParseInt(p.word(), 10, 64)
	}
	var out []byte
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return string(out), nil
		case c == '\\' && i+1 < len(p.rest):
			i++
			out = append(out, p.rest[i])
		default:
			out = append(out, c)
		}
	}
	return nil, errors.New("a string has no end")
}
