package pki

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/util/cert"
)

func TestLeafIsKeptUntilItMustSaySomethingElse(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ca, err := EnsureAuthority("first", file("ca.crt"), file("ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := EnsureAuthority("second", file("other.crt"), file("other.key"))
	if err != nil {
		t.Fatal(err)
	}
	serial := func(a *Authority, leaf Leaf) string {
		t.Helper()
		if err := a.EnsureLeaf(leaf, file("leaf.crt"), file("leaf.key")); err != nil {
			t.Fatal(err)
		}
		certs, err := cert.CertsFromFile(file("leaf.crt"))
		if err != nil {
			t.Fatal(err)
		}
		return certs[0].SerialNumber.String()
	}
	leaf := Leaf{CommonName: "a", Organizations: []string{"o"}, Names: []string{"a.example", "10.0.0.1"}, Client: true}
	first := serial(ca, leaf)
	if serial(ca, leaf) != first {
		t.Error("the same leaf was issued anew")
	}
	for name, change := range map[string]func(*Leaf){
		"name": func(l *Leaf) { l.CommonName = "b" }, "organization": func(l *Leaf) { l.Organizations = nil },
		"address": func(l *Leaf) { l.Names = []string{"a.example", "10.0.0.2"} }, "use": func(l *Leaf) { l.Client = false },
	} {
		before, changed := serial(ca, leaf), leaf
		change(&changed)
		if serial(ca, changed) == before {
			t.Errorf("another %s was not issued", name)
		}
	}
	if before := serial(ca, leaf); serial(other, leaf) == before {
		t.Error("a leaf of another CA was kept")
	}
	if info, err := os.Stat(file("leaf.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error("the key can be read by others", err)
	}
}

func TestHalfAnAuthorityIsNotFoundedAnew(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := EnsureAuthority("a", filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")); err == nil {
		t.Error("a CA without its key was replaced")
	}
}

func TestRequestedKeyChecksTheSignature(t *testing.T) {
	key, err := EnsureKey(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	request, err := Request(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RequestedKey(request); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]byte{nil, []byte("no PEM"), append([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), request...)} {
		if _, err := RequestedKey(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}
