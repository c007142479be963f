// Package process runs the components as children of k3s: they die with it, and it ends when one of them does.
package process

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
)

const patience = 15 * time.Second

// Debug lets the components' informational lines into the journal.
var Debug bool

// informational is the head of a Kubernetes component's log line that reports no trouble.
var informational = regexp.MustCompile(`^I\d{4} `)

// Group is a set of running children.
type Group struct {
	ctx      context.Context
	fail     context.CancelCauseFunc
	mutex    sync.Mutex
	children []*child
	stopping bool
}

type child struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
}

// NewGroup gives a group and a context that ends, with the reason as its cause, when a child ends unasked or Fail is called.
func NewGroup(parent context.Context) (*Group, context.Context) {
	ctx, fail := context.WithCancelCause(parent)
	return &Group{ctx: ctx, fail: fail}, ctx
}

// Fail ends the group's context.
func (g *Group) Fail(reason error) { g.fail(reason) }

// Go runs a loop whose error ends the group's context.
func (g *Group) Go(name string, loop func(context.Context) error) {
	go func() {
		if err := loop(g.ctx); err != nil && g.ctx.Err() == nil {
			g.fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
}

// Component starts a hidden command of this same binary.
func (g *Group) Component(name string, args []string, env ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, append([]string{"component", name}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	return g.Start(name, cmd)
}

// Start runs a child; what it prints goes to our standard error, line by line, after its name.
func (g *Group) Start(name string, cmd *exec.Cmd) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.stopping {
		return context.Canceled
	}
	out, into, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = into, into
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = without(cmd.Env, "NOTIFY_SOCKET") // k3s alone tells systemd when it is up
	c := &child{name, cmd, make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the death signal is sent when the thread that forked ends, so it must live as long as the child
		err := cmd.Start()
		started <- err
		if err == nil {
			g.watch(c, cmd.Wait())
		}
	}()
	err = <-started
	_ = into.Close()
	if err != nil {
		_ = out.Close()
		return fmt.Errorf("%s: %w", name, err)
	}
	go prefix(name, out)
	g.children = append(g.children, c)
	return nil
}

func (g *Group) watch(c *child, err error) {
	close(c.done)
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if !g.stopping {
		if err == nil {
			err = fmt.Errorf("exit status 0")
		}
		g.fail(fmt.Errorf("%s ended: %w", c.name, err))
	}
}

// Stop ends the children one by one, the last started first: TERM, then KILL after 15 s.
func (g *Group) Stop() {
	g.mutex.Lock()
	g.stopping = true
	g.mutex.Unlock()
	for i := len(g.children) - 1; i >= 0; i-- {
		c := g.children[i]
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-c.done:
		case <-time.After(patience):
			logrus.Warnf("%s does not end on TERM, killing it", c.name)
			_ = c.cmd.Process.Kill()
			<-c.done
		}
	}
}

func prefix(name string, out io.ReadCloser) {
	defer out.Close()
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if line = strings.TrimRight(line, "\n"); line != "" && (Debug || !informational.MatchString(line)) {
			fmt.Fprintf(os.Stderr, "%s: %s\n", name, line)
		}
		if err != nil {
			return
		}
	}
}

func without(env []string, name string) []string {
	var rest []string
	for _, item := range env {
		if !strings.HasPrefix(item, name+"=") {
			rest = append(rest, item)
		}
	}
	return rest
}
