package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/e2e/cluster/pki"
)

func TestIssuedCertificateIsGoodForWhatItWasIssuedFor(t *testing.T) {
	t.Parallel()
	ca, err := pki.NewAuthority("testers")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Public)
	tests := map[string]struct {
		subject    pki.Subject
		usage      x509.ExtKeyUsage
		host       string
		wantAccept bool
	}{
		"client as client":          {pki.Subject{Name: "me", Client: true}, x509.ExtKeyUsageClientAuth, "", true},
		"client as server":          {pki.Subject{Name: "me", Client: true}, x509.ExtKeyUsageServerAuth, "", false},
		"server by name":            {pki.Subject{Name: "it", Hosts: []string{"it.local"}}, x509.ExtKeyUsageServerAuth, "it.local", true},
		"server by address":         {pki.Subject{Name: "it", Hosts: []string{"fc00::1"}}, x509.ExtKeyUsageServerAuth, "fc00::1", true},
		"server by another address": {pki.Subject{Name: "it", Hosts: []string{"10.0.0.1"}}, x509.ExtKeyUsageServerAuth, "10.0.0.2", false},
		"server as client":          {pki.Subject{Name: "it", Hosts: []string{"it.local"}}, x509.ExtKeyUsageClientAuth, "", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair, err := ca.Issue(test.subject)
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(pair.Public)
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			_, err = certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: test.host, KeyUsages: []x509.ExtKeyUsage{test.usage}})
			if (err == nil) != test.wantAccept {
				t.Errorf("got %v, want accepted %v", err, test.wantAccept)
			}
		})
	}
}

func TestSavedKeyIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	ca, err := pki.NewAuthority("testers")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := pki.NewSigner()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, pair := range map[string]pki.Pair{"ca": ca.Pair, "sa": signer} {
		if err := pair.Save(dir, name); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		if info, err := e.Info(); strings.HasSuffix(e.Name(), ".key") && (err != nil || info.Mode().Perm() != 0o600) {
			t.Errorf("%s: mode %v (%v), want 0600", e.Name(), info.Mode(), err)
		}
	}
	if diff := cmp.Diff([]string{"ca.crt", "ca.key", "sa.key", "sa.pub"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")); err != nil {
		t.Error(err)
	}
}
