package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// lifetime is how long certificates are valid. They are backdated by an hour, for clocks that
// differ slightly.
const lifetime = 10 * 365 * 24 * time.Hour

// Pair is a private key with a certificate, or with the public key alone.
type Pair struct {
	Key    []byte // PEM
	Public []byte // PEM: a certificate, or a public key
}

// Authority signs certificates.
type Authority struct {
	Pair
	certificate *x509.Certificate
	key         crypto.Signer
}

// NewAuthority makes a self-signed authority.
func NewAuthority(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := newTemplate(pkix.Name{CommonName: name})
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing authority %q: %w", name, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	pair, err := encode(key, "CERTIFICATE", der)
	return &Authority{Pair: pair, certificate: certificate, key: key}, err
}

// Subject is what a certificate is issued for.
type Subject struct {
	Name   string   // the user, for a client
	Groups []string // the user's groups
	Hosts  []string // names and addresses of a server; empty: no server
	Client bool
}

// Issue signs a certificate for a new key.
func (a *Authority) Issue(s Subject) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	template := newTemplate(pkix.Name{CommonName: s.Name, Organization: s.Groups})
	template.KeyUsage = x509.KeyUsageDigitalSignature
	if s.Client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	if len(s.Hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range s.Hosts {
		if ip, err := netip.ParseAddr(host); err == nil {
			template.IPAddresses = append(template.IPAddresses, ip.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("signing certificate %q: %w", s.Name, err)
	}
	return encode(key, "CERTIFICATE", der)
}

// NewSigner makes a key pair without a certificate, for signing tokens.
func NewSigner() (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return Pair{}, err
	}
	return encode(key, "PUBLIC KEY", der)
}

func newTemplate(name pkix.Name) *x509.Certificate {
	now := time.Now()
	// A random serial number of 127 bits is as good as a counter, and needs no state.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      name,
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(lifetime),
	}
}

func encode(key *ecdsa.PrivateKey, kind string, public []byte) (Pair, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Key:    pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
		Public: pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: public}),
	}, nil
}

// Save writes <name>.key, readable by the owner only, and <name>.crt (or .pub for a key without
// certificate) into a folder.
func (p Pair) Save(dir, name string) error {
	if err := os.WriteFile(filepath.Join(dir, name+".key"), p.Key, 0o600); err != nil {
		return err
	}
	extension := ".crt"
	if block, _ := pem.Decode(p.Public); block != nil && block.Type == "PUBLIC KEY" {
		extension = ".pub"
	}
	return os.WriteFile(filepath.Join(dir, name+extension), p.Public, 0o644)
}
