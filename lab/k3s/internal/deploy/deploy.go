// Package deploy keeps the packaged add-ons in server/manifests and applies what lies there, as k3s's deploy controller does.
package deploy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/sirupsen/logrus"

	"rackstart.dev/lab/k3s/internal/cluster"
	"rackstart.dev/lab/k3s/internal/pki"
)

//go:embed manifests
var packaged embed.FS

// Run calls kubectl with arguments and answers with its output.
type Run func(ctx context.Context, args ...string) (string, error)

// Kubectl runs this binary's kubectl with a kubeconfig.
func Kubectl(kubeconfig string) Run {
	return func(ctx context.Context, args ...string) (string, error) {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		command := exec.CommandContext(ctx, self, append([]string{"kubectl", "--kubeconfig=" + kubeconfig}, args...)...)
		output, err := command.CombinedOutput()
		return strings.TrimSpace(string(output)), err
	}
}

// Stage writes the packaged manifests; a disabled one is removed, with what it had made.
func Stage(ctx context.Context, kubectl Run, dir string, settings cluster.Settings, disabled func(string) bool) error {
	entries, err := packaged.ReadDir("manifests")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		file := filepath.Join(dir, entry.Name())
		if disabled(strings.TrimSuffix(entry.Name(), ".yaml")) {
			if err := remove(ctx, kubectl, file); err != nil {
				return err
			}
			continue
		}
		parsed, err := template.ParseFS(packaged, "manifests/"+entry.Name())
		if err != nil {
			return err
		}
		var text bytes.Buffer
		if err := parsed.Execute(&text, settings); err != nil {
			return err
		}
		if err := pki.WriteFile(file, text.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func remove(ctx context.Context, kubectl Run, file string) error {
	if _, err := os.Stat(file); os.IsNotExist(err) {
		return nil
	}
	if output, err := kubectl(ctx, "delete", "--ignore-not-found", "--wait=false", "-f", file); err != nil {
		return fmt.Errorf("disabling %s: %w: %s", filepath.Base(file), err, output)
	}
	return os.Remove(file)
}

// Watch looks once in `every` and applies each manifest when it is new or changed, and again until it succeeds. A file that goes leaves what it made.
func Watch(ctx context.Context, every time.Duration, kubectl Run, dir string) error {
	applied, complaints := map[string][32]byte{}, map[string]string{}
	for {
		files, err := manifests(dir)
		if err != nil {
			return err
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				continue // gone since it was listed
			}
			sum := sha256.Sum256(data)
			if applied[file] == sum || len(bytes.TrimSpace(data)) == 0 {
				continue
			}
			output, err := kubectl(ctx, "apply", "--server-side", "--force-conflicts", "--field-manager=k3s-deploy", "-f", file)
			switch {
			case err == nil:
				logrus.Infof("applied manifest %s", file)
				applied[file] = sum
				delete(complaints, file)
			case ctx.Err() == nil && complaints[file] != output:
				logrus.Errorf("applying manifest %s: %v: %s", file, err, output)
				complaints[file] = output
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// manifests lists the files to apply: those without a NAME.skip beside them.
func manifests(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			return err
		}
		if _, err := os.Stat(path + ".skip"); err == nil {
			return nil
		}
		files = append(files, path)
		return nil
	})
	return files, err
}
