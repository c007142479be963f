// Package token reads and writes k3s's join tokens: K10<sha256 of the CA bundle>::<user>:<password>, or the password alone.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const prefix = "K10"

// Token is a join token; CAHash is empty in the short form, which pins no CA.
type Token struct {
	CAHash, User, Password string
}

// Parse accepts both forms; the short form gets no user.
func Parse(text string) (Token, error) {
	if text == "" {
		return Token{}, errors.New("token is empty: set token or token-file")
	}
	rest, secure := strings.CutPrefix(text, prefix)
	if !secure {
		return short(text)
	}
	hash, credentials, ok := strings.Cut(rest, "::")
	if !ok {
		return short(text) // a password may begin with K10
	}
	if raw, err := hex.DecodeString(hash); err != nil || len(raw) != sha256.Size {
		return Token{}, errors.New("invalid token CA hash length: it is 64 hexadecimal digits between K10 and ::")
	}
	t, err := short(credentials)
	t.CAHash = hash
	return t, err
}

func short(text string) (Token, error) {
	user, password, ok := strings.Cut(text, ":")
	if !ok {
		user, password = "", text
	}
	if password == "" {
		return Token{}, errors.New("token has no password")
	}
	return Token{User: user, Password: password}, nil
}

// Hash is what a token pins of a CA bundle: the sha256 of the PEM file as served, in hexadecimal.
func Hash(bundle []byte) string {
	sum := sha256.Sum256(bundle)
	return hex.EncodeToString(sum[:])
}

// Check compares a served CA bundle with the token's hash; the short form accepts any.
func (t Token) Check(bundle []byte) error {
	if got := Hash(bundle); t.CAHash != "" && got != t.CAHash {
		return fmt.Errorf("token CA hash does not match the Cluster CA certificate hash: %s != %s", t.CAHash, got)
	}
	return nil
}

// Format writes the full form.
func Format(bundle []byte, user, password string) string {
	return prefix + Hash(bundle) + "::" + user + ":" + password
}

// Random is a password of 32 hexadecimal digits, as k3s makes where none is configured.
func Random() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(raw)
}

// Bootstrap is a token of kubeadm's form, as `k3s token generate` prints.
func Bootstrap() string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	raw := make([]byte, 0, 22)
	buffer := make([]byte, 1)
	for len(raw) < cap(raw) {
		_, _ = rand.Read(buffer)
		if int(buffer[0]) < 256-256%len(alphabet) { // no digit likelier than another
			raw = append(raw, alphabet[int(buffer[0])%len(alphabet)])
		}
	}
	return string(raw[:6]) + "." + string(raw[6:])
}
