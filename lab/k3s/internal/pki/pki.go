// Package pki makes and keeps the cluster's certificate authorities, keys and certificates (ECDSA P-256, as k3s).
package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"slices"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	leafLifetime = 365 * 24 * time.Hour
	renewBefore  = 90 * 24 * time.Hour
)

// Leaf says what a certificate is for.
type Leaf struct {
	CommonName    string
	Organizations []string
	Names         []string // DNS names and IP addresses; with any, the certificate serves
	Client        bool
}

// Authority signs leaves.
type Authority struct {
	bundle []byte
	cert   *x509.Certificate
	key    crypto.Signer
}

// EnsureAuthority loads a CA, or founds it when neither of its files exists.
func EnsureAuthority(name, certFile, keyFile string) (*Authority, error) {
	if !exists(certFile) && !exists(keyFile) {
		key, err := EnsureKey(keyFile)
		if err != nil {
			return nil, err
		}
		template := x509.Certificate{
			SerialNumber: big.NewInt(0), Subject: pkix.Name{CommonName: fmt.Sprintf("%s@%d", name, time.Now().Unix())},
			NotBefore: time.Now().Add(-time.Hour).UTC(), NotAfter: time.Now().Add(caLifetime).UTC(), IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
		}
		der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
		if err != nil {
			return nil, err
		}
		if err := WriteFile(certFile, encode(der), 0o644); err != nil {
			return nil, err
		}
	}
	return LoadAuthority(certFile, keyFile)
}

// LoadAuthority reads a CA from its files.
func LoadAuthority(certFile, keyFile string) (*Authority, error) {
	bundle, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	certs, err := cert.ParseCertsPEM(bundle)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certFile, err)
	}
	key, err := loadKey(keyFile)
	if err != nil {
		return nil, err
	}
	return &Authority{bundle, certs[0], key}, nil
}

// EnsureLeaf keeps a certificate and key on disk as asked: it is issued anew when it is missing, says something else, is of another CA or near its end.
func (a *Authority) EnsureLeaf(leaf Leaf, certFile, keyFile string) error {
	key, err := EnsureKey(keyFile)
	if err != nil {
		return err
	}
	if a.current(leaf, certFile, key.Public()) {
		return nil
	}
	issued, err := a.Issue(leaf, key.Public())
	if err != nil {
		return err
	}
	return WriteFile(certFile, issued, 0o644)
}

// Issue signs a leaf for a public key: the certificate, then the CA's, in PEM.
func (a *Authority) Issue(leaf Leaf, public crypto.PublicKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 62))
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: leaf.CommonName, Organization: leaf.Organizations},
		NotBefore: a.cert.NotBefore, NotAfter: time.Now().Add(leafLifetime).UTC(),
		KeyUsage: x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature, ExtKeyUsage: leaf.usages(),
	}
	template.DNSNames, template.IPAddresses = leaf.split()
	der, err := x509.CreateCertificate(rand.Reader, &template, a.cert, public, a.key)
	if err != nil {
		return nil, err
	}
	return append(encode(der), a.bundle...), nil
}

func (a *Authority) current(leaf Leaf, certFile string, public crypto.PublicKey) bool {
	certs, err := cert.CertsFromFile(certFile)
	if err != nil || a.cert.CheckSignature(certs[0].SignatureAlgorithm, certs[0].RawTBSCertificate, certs[0].Signature) != nil {
		return false
	}
	names, addresses := leaf.split()
	have := certs[0]
	return have.Subject.CommonName == leaf.CommonName && slices.Equal(have.Subject.Organization, leaf.Organizations) &&
		slices.Equal(have.DNSNames, names) && slices.EqualFunc(have.IPAddresses, addresses, net.IP.Equal) &&
		slices.Equal(have.ExtKeyUsage, leaf.usages()) && have.PublicKey.(*ecdsa.PublicKey).Equal(public) && time.Until(have.NotAfter) > renewBefore
}

func (l Leaf) usages() (usages []x509.ExtKeyUsage) {
	if len(l.Names) > 0 {
		usages = append(usages, x509.ExtKeyUsageServerAuth)
	}
	if l.Client {
		usages = append(usages, x509.ExtKeyUsageClientAuth)
	}
	return usages
}

func (l Leaf) split() (names []string, addresses []net.IP) {
	for _, name := range l.Names {
		if address := net.ParseIP(name); address != nil {
			addresses = append(addresses, address)
		} else {
			names = append(names, name)
		}
	}
	return names, addresses
}

// EnsureKey loads a private key, or makes it (0600) when the file does not exist.
func EnsureKey(file string) (crypto.Signer, error) {
	if !exists(file) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		data, err := keyutil.MarshalPrivateKeyToPEM(key)
		if err != nil {
			return nil, err
		}
		if err := WriteFile(file, data, 0o600); err != nil {
			return nil, err
		}
	}
	return loadKey(file)
}

func loadKey(file string) (crypto.Signer, error) {
	key, err := keyutil.PrivateKeyFromFile(file)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: not a signing key", file)
	}
	return signer, nil
}

// Request makes a certificate signing request for a key; the signer, not the request, says whom it names.
func Request(key crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateRequestBlockType, Bytes: der}), err
}

// RequestedKey is the public key of a signing request, whose maker is shown to hold the private one.
func RequestedKey(request []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(request)
	if block == nil || block.Type != cert.CertificateRequestBlockType {
		return nil, errors.New("no certificate signing request in PEM")
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	return parsed.PublicKey, parsed.CheckSignature()
}

// WriteFile replaces a file whole, through a rename; a file that already says so is left alone.
func WriteFile(file string, data []byte, mode os.FileMode) error {
	if have, err := os.ReadFile(file); err == nil && bytes.Equal(have, data) {
		return os.Chmod(file, mode)
	}
	partial := file + ".partial"
	if err := os.WriteFile(partial, data, mode); err != nil {
		return err
	}
	if err := os.Chmod(partial, mode); err != nil { // the umask may have narrowed it
		return err
	}
	return os.Rename(partial, file)
}

func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der})
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
