package leadership

import (
	"strconv"
	"strings"
)

// Catalog knows how to read policies and points from their text. The nil and
// the zero Catalog know the built-in ones; Register adds others. There is no
// global registration: what a program understands is what it was handed. A
// Catalog must not be changed once it is in use.
type Catalog struct {
	policies map[string]func(args string) (Policy, error)
	points   map[string]func(text string) (Point, error)
}

// RegisterPolicy makes specs of the form "name" or "name(args)" readable.
// It returns a *TextError for a name that is taken or not [a-z0-9-]+, a nil
// function, or a nil Catalog, which stays as it is.
func (c *Catalog) RegisterPolicy(name string, parse func(args string) (Policy, error)) error {
	if err := c.checkName("policy", name, parse == nil); err != nil {
		return err
	}
	if _, taken := c.policies[name]; taken || builtinPolicy(name) {
		return &TextError{What: "policy name", Text: name, Reason: "it is taken"}
	}
	if c.policies == nil {
		c.policies = map[string]func(string) (Policy, error){}
	}
	c.policies[name] = parse
	return nil
}

// RegisterPoint makes points of the given kind readable. Errors as
// RegisterPolicy.
func (c *Catalog) RegisterPoint(kind string, parse func(text string) (Point, error)) error {
	if err := c.checkName("point", kind, parse == nil); err != nil {
		return err
	}
	if _, taken := c.points[kind]; taken || kind == (LogPoint{}).Kind() {
		return &TextError{What: "point kind", Text: kind, Reason: "it is taken"}
	}
	if c.points == nil {
		c.points = map[string]func(string) (Point, error){}
	}
	c.points[kind] = parse
	return nil
}

func (c *Catalog) checkName(what, name string, noFunc bool) error {
	if c == nil {
		return &TextError{What: what, Text: clip(name), Reason: "the catalog is nil"}
	}
	if noFunc {
		return &TextError{What: what, Text: name, Reason: "the parse function is nil"}
	}
	if !validName(name) {
		return &TextError{What: what, Text: clip(name), Reason: "the name must match [a-z0-9-]+"}
	}
	return nil
}

func validName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func builtinPolicy(name string) bool {
	switch name {
	case "majority", "all", "any", "at-least", "zones", "weighted", "joint":
		return true
	}
	return false
}

// maxJointDepth bounds the nesting of joint specs.
const maxJointDepth = 8

// ParsePolicy is the inverse of Policy.Spec. It returns ErrNoPolicy for an
// empty text and a *PolicyError for one that it cannot read.
func (c *Catalog) ParsePolicy(spec string) (Policy, error) { return c.parsePolicy(spec, 0) }

func (c *Catalog) parsePolicy(spec string, depth int) (Policy, error) {
	if spec == "" {
		return nil, ErrNoPolicy
	}
	bad := func(reason string) (Policy, error) { return nil, &PolicyError{Spec: clip(spec), Reason: reason} }
	name, args, has := strings.Cut(spec, "(")
	if has {
		if !strings.HasSuffix(args, ")") {
			return bad("the closing parenthesis is missing")
		}
		args = args[:len(args)-1]
	}
	switch name {
	case "majority", "all", "any":
		if has {
			return bad("it takes no argument")
		}
		switch name {
		case "majority":
			return Majority(), nil
		case "all":
			return All(), nil
		}
		return Any(), nil
	case "weighted":
		if !has {
			return Weighted(0), nil
		}
		fallthrough
	case "at-least", "zones":
		k, err := strconv.Atoi(args)
		if err != nil || strconv.Itoa(k) != args || k < 1 {
			return bad("it takes one number of at least 1")
		}
		switch name {
		case "at-least":
			return AtLeast(k), nil
		case "zones":
			return Zones(k), nil
		}
		return Weighted(k), nil
	case "joint":
		i := splitArgs(args)
		if i < 0 || depth >= maxJointDepth {
			return bad("it takes two policies, nested at most 8 deep")
		}
		p, err := c.parsePolicy(args[:i], depth+1)
		if err != nil {
			return nil, err
		}
		q, err := c.parsePolicy(args[i+1:], depth+1)
		if err != nil {
			return nil, err
		}
		return Joint(p, q), nil
	}
	if c != nil && c.policies[name] != nil {
		return c.policies[name](args)
	}
	return bad("unknown policy; register it with a Catalog")
}

// splitArgs returns the index of the only comma outside parentheses, or -1.
func splitArgs(s string) int {
	depth, at := 0, -1
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				if at >= 0 {
					return -1
				}
				at = i
			}
		}
	}
	return at
}

// ParsePosition is the inverse of Position.String. It returns a *TextError. A
// point of an unknown kind becomes an opaque one, which equals only itself.
func (c *Catalog) ParsePosition(s string) (Position, error) {
	if s == "empty" {
		return Position{}, nil
	}
	bad := func(reason string) (Position, error) {
		return Position{}, &TextError{What: "position", Text: clip(s), Reason: reason}
	}
	if text, rest, ok := strings.Cut(s, "@"); ok && rest == "" {
		t, err := ParseTerm(text)
		if err != nil || t.IsZero() {
			return bad("it has no term")
		}
		return Position{Term: t}, nil
	}
	text, kind, point, ok := cutPosition(s)
	if !ok {
		return bad(`want "TERM@KIND:POINT" or "empty"`)
	}
	t, err := ParseTerm(text)
	if err != nil {
		return bad(err.Error())
	}
	if !validName(kind) || strings.ToValidUTF8(point, "") != point {
		// Such a text does not survive JSON, so it would not come back.
		return bad("the kind must match [a-z0-9-]+ and the point be UTF-8")
	}
	p := Position{Term: t}
	switch {
	case kind == (LogPoint{}).Kind():
		var at LogPoint
		at, err = ParseLogPoint(point)
		if n := len(at.Eras); n > 0 && at.Eras[n-1].Term != t {
			return bad("its term is not that of the last era")
		}
		p.Point = at
	case c != nil && c.points[kind] != nil:
		p.Point, err = c.points[kind](point)
	default:
		p.Point = opaquePoint{kind: kind, text: point}
	}
	if err != nil {
		return bad(err.Error())
	}
	return p, nil
}
