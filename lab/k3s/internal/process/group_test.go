package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestGroupEndsWhenAChildDoes(t *testing.T) {
	group, ctx := NewGroup(t.Context())
	defer group.Stop()
	if err := group.Start("short", exec.Command("sh", "-c", "exit 3")); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if cause := context.Cause(ctx).Error(); cause != "short ended: exit status 3" {
		t.Error(cause)
	}
}

func TestGroupStopsTheLastStartedFirst(t *testing.T) {
	dir := t.TempDir()
	record := filepath.Join(dir, "order")
	group, ctx := NewGroup(t.Context())
	for _, name := range []string{"first", "second"} {
		script := fmt.Sprintf("trap 'echo %[1]s >> %[2]s; exit 0' TERM; echo > %[3]s/%[1]s; while :; do sleep 0.05; done", name, record, dir)
		if err := group.Start(name, exec.Command("sh", "-c", script)); err != nil {
			t.Fatal(err)
		}
		for { // its trap must be set before it is told to end
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				break
			}
			if ctx.Err() != nil {
				t.Fatal(context.Cause(ctx))
			}
		}
	}
	group.Stop()
	if order, err := os.ReadFile(record); err != nil || string(order) != "second\nfirst\n" {
		t.Errorf("%q %v", order, err)
	}
	if ctx.Err() != nil {
		t.Error("children that were told to end are no failure:", context.Cause(ctx))
	}
	if err := group.Start("late", exec.Command("true")); err == nil {
		t.Error("a stopped group starts children")
	}
}

func TestChildrenDoNotSpeakToSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/systemd/notify")
	file := filepath.Join(t.TempDir(), "env")
	group, ctx := NewGroup(t.Context())
	defer group.Stop()
	if err := group.Start("env", exec.Command("sh", "-c", "env > "+file)); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if env, err := os.ReadFile(file); err != nil || strings.Contains(string(env), "NOTIFY_SOCKET") || !strings.Contains(string(env), "PATH=") {
		t.Errorf("%v\n%s", err, env)
	}
}
