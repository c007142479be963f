package deploy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rackstart.dev/lab/k3s/internal/cluster"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "good.yaml", "kind: A")
	write(t, dir, "sub/deep.json", "{}")
	write(t, dir, "skipped.yaml", "kind: B")
	write(t, dir, "skipped.yaml.skip", "")
	write(t, dir, "notes.txt", "no manifest")
	early := write(t, dir, "early.yaml", "kind: Custom")
	applied := make(chan string, 100)
	failures := 1
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	go func() {
		_ = Watch(ctx, time.Millisecond, func(_ context.Context, args ...string) (string, error) {
			file := args[len(args)-1]
			if file == early && failures > 0 {
				failures--
				return "no matches for kind", errors.New("exit status 1")
			}
			applied <- filepath.Base(file)
			return "", nil
		}, dir)
	}()
	next := func() string {
		select {
		case name := <-applied:
			return name
		case <-ctx.Done():
			return "nothing"
		}
	}
	seen := map[string]int{}
	for range 3 {
		seen[next()]++
	}
	for _, name := range []string{"good.yaml", "deep.json", "early.yaml"} {
		if seen[name] != 1 {
			t.Errorf("first applied: %v", seen)
		}
	}
	write(t, dir, "good.yaml", "kind: Changed")
	if name := next(); name != "good.yaml" {
		t.Errorf("after the change of good.yaml %s was applied", name)
	}
}

func TestStage(t *testing.T) {
	dir := t.TempDir()
	var calls []string
	kubectl := func(_ context.Context, args ...string) (string, error) {
		calls = append(calls, strings.Join(args, " "))
		return "", nil
	}
	settings := cluster.Settings{ClusterDomain: "rack.local", ClusterDNS: "10.9.0.10"}
	stage := func(disabled ...string) {
		t.Helper()
		err := Stage(t.Context(), kubectl, dir, settings, func(name string) bool { return strings.Contains(strings.Join(disabled, " "), name) })
		if err != nil {
			t.Fatal(err)
		}
	}
	stage()
	text, err := os.ReadFile(filepath.Join(dir, "coredns.yaml"))
	if err != nil || !strings.Contains(string(text), "kubernetes rack.local ") || !strings.Contains(string(text), "clusterIP: 10.9.0.10\n") {
		t.Error("settings are not in the manifest of CoreDNS", err)
	}
	stage("coredns")
	if _, err := os.Stat(filepath.Join(dir, "coredns.yaml")); !os.IsNotExist(err) || len(calls) != 1 || !strings.HasPrefix(calls[0], "delete ") {
		t.Errorf("disabling deletes file and objects: %v %v", err, calls)
	}
	if stage("coredns"); len(calls) != 1 {
		t.Errorf("what is not there is deleted again: %v", calls)
	}
}
