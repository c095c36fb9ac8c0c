package etcdregistry_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/etcdregistry"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{cert, key, pool}
}

func (a *authority) issue(t testing.TB, name string) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

func (a *authority) client(t testing.TB, name string) *tls.Config {
	t.Helper()
	cert, err := tls.X509KeyPair(a.issue(t, name))
	must(t, err)
	return &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
}

// secureEtcd is one member with TLS, client certificates and users: root, coordinator
// and router, with the keys that the package documentation gives each.
func secureEtcd(t testing.TB, a *authority, password string) string {
	t.Helper()
	dir := t.TempDir()
	// etcd runs as another user.
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, b, 0o644))
		return path
	}
	cert, key := a.issue(t, "etcd")
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{Scheme: "https", Flags: []string{
		"--cert-file", file("cert", cert), "--key-file", file("key", key), "--client-cert-auth",
		"--trusted-ca-file", file("ca", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})),
		"--bcrypt-cost", "4",
	}})
	cli := raw(t, clientv3.Config{Endpoints: etcd.Endpoints(), TLS: a.client(t, "root")})
	ctx := within(t, bound)
	prefix, end := "/tenure/c/", clientv3.GetPrefixRangeEnd
	for _, step := range []func() error{
		func() error { _, err := cli.UserAdd(ctx, "root", password); return err },
		func() error { _, err := cli.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := cli.RoleAdd(ctx, "coordinator"); return err },
		func() error { _, err := cli.RoleAdd(ctx, "router"); return err },
		func() error {
			_, err := cli.RoleGrantPermission(ctx, "coordinator", prefix, end(prefix), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error {
			_, err := cli.RoleGrantPermission(ctx, "router", prefix+"record", "", clientv3.PermissionType(clientv3.PermRead))
			return err
		},
		func() error {
			_, err := cli.RoleGrantPermission(ctx, "router", prefix+"router/", end(prefix+"router/"), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := cli.UserAdd(ctx, "coordinator", password); return err },
		func() error { _, err := cli.UserGrantRole(ctx, "coordinator", "coordinator"); return err },
		func() error { _, err := cli.UserAdd(ctx, "router", password); return err },
		func() error { _, err := cli.UserGrantRole(ctx, "router", "router"); return err },
		func() error { _, err := cli.AuthEnable(ctx); return err },
	} {
		must(t, step())
	}
	return etcd.Endpoints()[0]
}

func TestWithTLSAndUsersEachMayDoWhatTheDocumentationGrants(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	const password = "correct-horse-battery"
	endpoint := secureEtcd(t, a, password)
	as := func(user string) etcdregistry.Config {
		cfg := impatient(endpoint)
		cfg.TLS, cfg.Patience = a.client(t, "nobody"), 2*time.Second
		if user != "" {
			cfg.Username, cfg.Password = user, password
		}
		return cfg
	}
	coordinator := open(t, "c", as("coordinator"))
	rec := create(t, coordinator.Registry())

	byCert := as("")
	byCert.TLS = a.client(t, "router")
	for how, cfg := range map[string]etcdregistry.Config{"password": as("router"), "certificate": byCert} {
		t.Run("a router with a "+how, func(t *testing.T) {
			router := open(t, "c", cfg)
			if r, err := router.Registry().Load(t.Context()); err != nil || !r.Equal(rec) {
				t.Errorf("Load = %+v, %v", r, err)
			}
			next, err := begin(rec, "x")
			must(t, err)
			_, err = router.Registry().Swap(t.Context(), rec.Version, next)
			wantAs[*etcdregistry.RefusedError](t, err)
			if !leadership.NotExecuted(err) || errors.Is(err, leadership.ErrUnknownOutcome) {
				t.Errorf("Swap by a router = %v", err)
			}
			err = newLock(t, router, etcdregistry.LockConfig{}).Run(t.Context(), func(context.Context, *etcdregistry.Held) error { return nil })
			wantAs[*etcdregistry.RefusedError](t, err)
			l := leadership.RouterLease{Router: "r", Session: how, TTL: 30 * time.Millisecond}
			fresh, err := router.Barrier().Join(t.Context(), l)
			if err != nil || !fresh {
				t.Errorf("Join = %v, %v", fresh, err)
			}
			rc, err := router.Barrier().Wait(t.Context(), leadership.Term{Num: 1, Proposer: "x"})
			if err != nil || len(rc.Lapsed) != 1 {
				t.Errorf("Wait = %+v, %v", rc, err)
			}
			must(t, router.Barrier().Leave(t.Context(), l))
		})
	}

	t.Run("a coordinator", func(t *testing.T) {
		// For longer than a renewal, and with a Wait, whose streams ask for a token.
		waited := make(chan error, 1)
		go func() {
			_, err := coordinator.Registry().Wait(t.Context(), rec.Version)
			waited <- err
		}()
		err := newLock(t, coordinator, etcdregistry.LockConfig{}).Run(t.Context(), func(ctx context.Context, h *etcdregistry.Held) error {
			pause(ctx, 2500*time.Millisecond)
			_, err := leadership.Update(ctx, h.Registry(), func(r leadership.Record) (leadership.Record, error) { return begin(r, "x") })
			return err
		})
		must(t, err)
		must(t, <-waited)
		other := open(t, "another", as("coordinator"))
		_, err = other.Registry().Load(t.Context())
		wantAs[*etcdregistry.RefusedError](t, err)
	})

	t.Run("nobody else", func(t *testing.T) {
		wrong := as("coordinator")
		wrong.Password = password + "x"
		_, err := etcdregistry.Open("c", wrong)
		wantAs[*etcdregistry.RefusedError](t, err)
		hides(t, err, password)
		stranger := as("")
		_, err = open(t, "c", stranger).Registry().Load(t.Context())
		wantAs[*etcdregistry.RefusedError](t, err)
		for what, certs := range map[string]*tls.Config{
			"no certificate":        {RootCAs: a.pool, MinVersion: tls.VersionTLS12},
			"a foreign certificate": {RootCAs: a.pool, Certificates: other.client(t, "router").Certificates, MinVersion: tls.VersionTLS12},
			"a foreign authority":   {RootCAs: other.pool, Certificates: a.client(t, "router").Certificates, MinVersion: tls.VersionTLS12},
		} {
			cfg := as("")
			cfg.TLS = certs
			cfg.Patience = 500 * time.Millisecond
			if _, err = open(t, "c", cfg).Registry().Load(t.Context()); err == nil {
				t.Errorf("%s: let in", what)
			}
			wantAs[*etcdregistry.UnavailableError](t, err)
			if !strings.Contains(err.Error(), "tls") && !strings.Contains(err.Error(), "x509") && !strings.Contains(err.Error(), "broken pipe") && !strings.Contains(err.Error(), "reset") {
				t.Errorf("%s: the message does not say what is wrong: %v", what, err)
			}
		}
	})
}

func hides(t testing.TB, err error, secret string) {
	t.Helper()
	for _, s := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		if strings.Contains(s, secret) {
			t.Errorf("an error shows the password: %s", s)
		}
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const word = "hunter2"
	cfg := etcdregistry.Config{Username: "u", Password: word, Endpoints: []string{"http://127.0.0.1:1"}}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "cfg", cfg, "password", cfg.Password)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "cfg", cfg, "password", cfg.Password)
	marshalled, err := json.Marshal(cfg.Password)
	must(t, err)
	texts := []string{logged.String(), string(marshalled), cfg.Password.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, cfg), fmt.Sprintf(verb, &cfg), fmt.Sprintf(verb, cfg.Password), fmt.Sprintf(verb, &cfg.Password))
	}
	for _, s := range texts {
		if strings.Contains(s, word) || strings.Contains(strings.ToLower(s), fmt.Sprintf("%x", word)) {
			t.Errorf("%s", s)
		}
	}
	var read etcdregistry.Secret
	if err := json.Unmarshal([]byte(`"`+word+`"`), &read); err != nil || read != word {
		t.Errorf("read %q, %v", string(read), err)
	}
}
