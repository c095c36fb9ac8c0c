package pgnode

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// parseConninfo reads a connection string, "host=h port=5432 ..." or a
// postgres:// URL, into its parameters.
func parseConninfo(s string) (map[string]string, error) {
	if strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://") {
		return parseConnURL(s)
	}
	out := map[string]string{}
	for i := 0; ; {
		for i < len(s) && isSpace(s[i]) {
			i++
		}
		if i == len(s) {
			return out, nil
		}
		start := i
		for i < len(s) && s[i] != '=' && !isSpace(s[i]) {
			i++
		}
		key := s[start:i]
		for i < len(s) && isSpace(s[i]) {
			i++
		}
		if i == len(s) || s[i] != '=' || key == "" {
			return nil, textError("conninfo", key, `want "name=value" pairs`)
		}
		i++
		for i < len(s) && isSpace(s[i]) {
			i++
		}
		var v strings.Builder
		quoted := i < len(s) && s[i] == '\''
		if quoted {
			i++
		}
		for ; ; i++ {
			switch {
			case i == len(s) && quoted:
				return nil, textError("conninfo", key, "the closing quote is missing")
			case i == len(s):
			case quoted && s[i] == '\'':
				i++
			case !quoted && isSpace(s[i]):
			case s[i] == '\\' && i+1 < len(s):
				i++
				v.WriteByte(s[i])
				continue
			default:
				v.WriteByte(s[i])
				continue
			}
			break
		}
		out[key] = v.String()
	}
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func parseConnURL(s string) (map[string]string, error) {
	u, err := url.Parse(s)
	if err != nil {
		// The error of url.Parse shows the URL, and that its password.
		return nil, textError("conninfo", "postgres://...", "it is not a URL")
	}
	out := map[string]string{}
	for k, v := range u.Query() {
		out[k] = v[len(v)-1]
	}
	if u.User != nil {
		out["user"] = u.User.Username()
		if p, ok := u.User.Password(); ok {
			out["password"] = p
		}
	}
	if db := strings.TrimPrefix(u.Path, "/"); db != "" {
		out["dbname"] = db
	}
	if h := u.Hostname(); h != "" {
		out["host"] = h
	}
	if p := u.Port(); p != "" {
		out["port"] = p
	}
	return out, nil
}

// conninfoText is the inverse of parseConninfo, in the form that libpq and
// primary_conninfo take. Parameters are in the order of their names.
func conninfoText(params map[string]string) string {
	parts := make([]string, 0, len(params))
	for _, k := range slices.Sorted(maps.Keys(params)) {
		v := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(params[k])
		parts = append(parts, k+"='"+v+"'")
	}
	return strings.Join(parts, " ")
}

// withName returns a conninfo that announces itself under the application_name.
func withName(conninfo, name string) (string, error) {
	p, err := parseConninfo(conninfo)
	if err != nil {
		return "", err
	}
	p["application_name"] = name
	return conninfoText(p), nil
}

// forTool returns a conninfo for a program's arguments, which others can see, and
// the password in it for the program's environment.
func forTool(conninfo string) (args string, env []string, err error) {
	p, err := parseConninfo(conninfo)
	if err != nil {
		return "", nil, err
	}
	if pw, ok := p["password"]; ok {
		env = append(env, "PGPASSWORD="+pw)
		delete(p, "password")
	}
	return conninfoText(p), env, nil
}

// quote returns s as an SQL string constant.
func quote(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}

// ident returns s as an SQL identifier.
func ident(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// setAuto returns the content of a postgresql.auto.conf in which each of the
// settings has its value, and nothing else has changed. It is for a server that
// is down; one that runs is told by ALTER SYSTEM, which keeps the file itself.
func setAuto(content string, settings map[string]string) string {
	var b strings.Builder
	for line := range strings.Lines(content) {
		name, _, ok := strings.Cut(line, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, ours := settings[name]; ok && ours {
			continue // every copy: the last one would win
		}
		b.WriteString(strings.TrimSuffix(line, "\n") + "\n")
	}
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		v := strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(settings[k])
		fmt.Fprintf(&b, "%s = '%s'\n", k, v)
	}
	return b.String()
}

// autoSays reports whether a postgresql.auto.conf has a setting already, once, as
// setAuto and ALTER SYSTEM write it.
func autoSays(content, name, value string) bool {
	said := 0
	for line := range strings.Lines(content) {
		if n, _, ok := strings.Cut(line, "="); ok && strings.EqualFold(strings.TrimSpace(n), name) {
			said++
		}
	}
	return said == 1 && strings.Contains("\n"+content, "\n"+setAuto("", map[string]string{name: value}))
}
