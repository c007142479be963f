package supervisor

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const rounds = 10000

// SecretName is where a node's hashed password is kept, in kube-system.
func SecretName(node string) string { return node + ".node-password.k3s" }

// ensureNodePassword keeps the first password a node comes with and refuses any other until the Secret is deleted.
func ensureNodePassword(ctx context.Context, client kubernetes.Interface, node, password string) error {
	secrets := client.CoreV1().Secrets(metav1.NamespaceSystem)
	secret, err := secrets.Get(ctx, SecretName(node), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		hash, err := hashPassword(password)
		if err != nil {
			return err
		}
		immutable := true
		_, err = secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: SecretName(node)}, Immutable: &immutable, Data: map[string][]byte{"hash": []byte(hash)},
		}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return ensureNodePassword(ctx, client, node, password)
		}
		return err
	}
	if err != nil {
		return err
	}
	return verifyPassword(string(secret.Data["hash"]), password)
}

func hashPassword(password string) (string, error) {
	salt := make([]byte, 8)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the program instead
	return hashWith(salt, password)
}

func hashWith(salt []byte, password string) (string, error) {
	sum, err := pbkdf2.Key(sha256.New, password, salt, rounds, 32)
	return fmt.Sprintf("$pbkdf2:%s:%s", hex.EncodeToString(salt), hex.EncodeToString(sum)), err
}

func verifyPassword(hash, password string) error {
	fields := strings.Split(hash, ":")
	if len(fields) != 3 {
		return errors.New("hash format is not known")
	}
	salt, err := hex.DecodeString(fields[1])
	if err != nil {
		return err
	}
	want, err := hashWith(salt, password)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(want), []byte(hash)) != 1 {
		return errors.New("hash does not match")
	}
	return nil
}
