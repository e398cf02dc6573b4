package embedded

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestRoutesOverTLS(t *testing.T) {
	block := certificate(t)
	servers := together(t, hosts(t, 2, func() *Server { return &Server{} }, func(c *Cluster) { c.TLS = block }))
	for _, s := range servers {
		eventually(t, "connected", func() error { return joined(servers, s) })
	}
	// Who has no certificate of that authority is not let in, whatever it knows.
	strange := tls.Config{InsecureSkipVerify: true} //nolint:gosec // it is the stranger
	conn, err := net.Dial("tcp", servers[0].Cluster.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	secured := tls.Client(conn, &strange)
	if err := secured.Handshake(); err == nil { // TLS 1.3 tells it with the first read
		_, err = secured.Read(make([]byte, 1))
		if err == nil {
			t.Error("a stranger was let in")
		}
	}
}

// certificate makes an authority and a certificate for this machine, and returns what
// stands in a tls block.
func certificate(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, own, own, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := write("cert.pem", "CERTIFICATE", cert)
	return fmt.Sprintf("cert_file: %q\nkey_file: %q\nca_file: %q", path, write("key.pem", "PRIVATE KEY", secret), path)
}
