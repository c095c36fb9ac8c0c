package agent

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"os"
)

// CheckURL parses the URL of an agent: https://host:port, or http with a loopback
// address written out, since a name may be anybody's.
func CheckURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is no URL", s)
	case u.Hostname() == "" || u.Port() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return nil, fmt.Errorf("%q, want https://host:port", u.Redacted())
	case u.Scheme == "https":
		return u, nil
	case u.Scheme != "http":
		return nil, fmt.Errorf("%q, want https://host:port", u.Redacted())
	}
	if a, err := netip.ParseAddr(u.Hostname()); err != nil || !a.Unmap().IsLoopback() {
		return nil, fmt.Errorf("%q: plain HTTP is for a loopback address, such as 127.0.0.1: use https", u.Redacted())
	}
	return u, nil
}

// ServerTLS returns what an agent serves with. It takes callers with a certificate of
// the CA, made for client authentication, and no others: whoever has one commands the
// node. The CA should be one of its own.
func ServerTLS(ca, cert, key string) (*tls.Config, error) {
	c, pool, err := pair(ca, cert, key)
	if err != nil {
		return nil, err
	}
	c.ClientCAs, c.ClientAuth = pool, tls.RequireAndVerifyClientCert
	return c, nil
}

// ClientTLS returns what a caller needs. The agent's certificate has to be of the CA
// and for serverName, "" for the host that is dialled.
func ClientTLS(ca, cert, key, serverName string) (*tls.Config, error) {
	c, pool, err := pair(ca, cert, key)
	if err != nil {
		return nil, err
	}
	c.RootCAs, c.ServerName = pool, serverName
	return c, nil
}

func pair(ca, cert, key string) (*tls.Config, *x509.CertPool, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("%s holds no certificate", ca)
	}
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}}, pool, nil
}
