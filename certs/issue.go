package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
)

// issue creates a CA and a certificate signed by it; the key of the CA is not kept. The previous CA
// stays trusted until it expires.
func (o Options) issue(before []byte) (Bundle, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Bundle{}, fmt.Errorf("making key of CA: %w", err)
	}
	// Each CA has its own name: verification looks up the issuer by name, and a bundle may have
	// two.
	serial := serialNumber()
	ca := o.template(serial, fmt.Sprintf("spiderpool webhook CA %x", serial.Bytes()[:4]))
	ca.IsCA, ca.BasicConstraintsValid, ca.MaxPathLenZero = true, true, true
	ca.KeyUsage = x509.KeyUsageCertSign
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return Bundle{}, fmt.Errorf("making CA: %w", err)
	}
	signed, err := x509.ParseCertificate(caDER)
	if err != nil {
		return Bundle{}, fmt.Errorf("reading CA: %w", err)
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Bundle{}, fmt.Errorf("making serving key: %w", err)
	}
	leaf := o.template(serialNumber(), "spiderpool webhook")
	leaf.DNSNames, leaf.IPAddresses = o.DNSNames, o.IPAddresses
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, leaf, signed, key.Public(), caKey)
	if err != nil {
		return Bundle{}, fmt.Errorf("making serving certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Bundle{}, fmt.Errorf("encoding serving key: %w", err)
	}
	return Bundle{
		CA:          append(encode("CERTIFICATE", caDER), o.stillValid(before)...),
		Certificate: encode("CERTIFICATE", der),
		Key:         encode("PRIVATE KEY", keyDER),
	}, nil
}

func (o Options) template(serial *big.Int, name string) *x509.Certificate {
	now := o.Clock()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-skew),
		NotAfter:     now.Add(lifetime),
	}
}

// serialNumber returns 127 random bits with the highest of them set: positive, unique, and never
// short.
func serialNumber() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never returns an error, see its documentation
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}

// stillValid returns the newest CA of a bundle, unless it has expired. The certificates of older
// ones are no longer served.
func (o Options) stillValid(bundle []byte) []byte {
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			continue
		}
		if o.Clock().After(ca.NotAfter) {
			return nil
		}
		return encode("CERTIFICATE", ca.Raw)
	}
	return nil
}

func encode(kind string, der []byte) []byte {
	var out bytes.Buffer
	_ = pem.Encode(&out, &pem.Block{Type: kind, Bytes: der}) // writing to a buffer cannot fail
	return out.Bytes()
}
