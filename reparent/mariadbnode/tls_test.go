package mariadbnode_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

// certificate writes a certificate for 127.0.0.1, its own authority, that the
// servers can read.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tenure-tls") // of t.TempDir, others cannot read the parents
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &priv.PublicKey, priv)
	require.NoError(t, err)
	pkcs, err := x509.MarshalPKCS8PrivateKey(priv)
	require.NoError(t, err)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs}), 0o644))
	pool = x509.NewCertPool()
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool.AddCert(c)
	return cert, key, pool
}

func TestCoordinatorsAndReplicasConnectWithTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	c := newCluster(t, 2, options{
		flags: []string{"--ssl-cert=" + cert, "--ssl-key=" + key, "--ssl-ca=" + cert},
		config: func(_ int, cfg *mariadbnode.Config) {
			cfg.TLS = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
			cfg.Replication.TLS, cfg.Replication.CA = true, cert
		},
	})
	for i := range c.servers {
		c.exec(c.root(i), "SET sql_log_bin=0", "ALTER USER 'tenure'@'%' REQUIRE SSL", "ALTER USER 'repl'@'%' REQUIRE SSL")
	}
	plain := c.node(0, nil)
	_, err := plain.Status(t.Context())
	require.ErrorContains(t, err, "Access denied", "the accounts demand it")
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	require.NoError(t, c.insert(c.app(0), 1))
	require.Equal(t, "Yes", c.slaveStatus(1)["Master_SSL_Allowed"])
	c.run(g, reparent.Planned("n2"))
	require.NoError(t, c.insert(c.app(1), 2))
	wrong := c.node(0, func(_ int, cfg *mariadbnode.Config) {
		cfg.TLS = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}
	})
	_, err = wrong.Status(t.Context())
	require.ErrorContains(t, err, "certificate")
}
