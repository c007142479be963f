// Command k3s stands in for k3s in Rackstart's lab: real Kubernetes, etcd and helm-controller behind k3s's files, ports, tokens and commands.
// README.md says what is real, what stands in, and what that does not prove.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/sirupsen/logrus"

	"rackstart.dev/lab/k3s/internal/agent"
	"rackstart.dev/lab/k3s/internal/cluster"
	"rackstart.dev/lab/k3s/internal/components"
	"rackstart.dev/lab/k3s/internal/config"
	"rackstart.dev/lab/k3s/internal/process"
	"rackstart.dev/lab/k3s/internal/server"
	"rackstart.dev/lab/k3s/internal/token"
)

const usage = `k3s %s (stand-in)
usage: k3s server|agent [--KEY=VALUE ...]
       k3s kubectl|ctr [ARGUMENT ...]
       k3s token generate
       k3s --version`

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	if name != "kubectl" && name != "ctr" && name != "crictl" {
		name = ""
		if len(args) > 0 {
			name, args = args[0], args[1:]
		}
	}
	os.Exit(run(name, args))
}

func run(name string, args []string) int {
	switch name {
	case "server":
		return daemon(true, args)
	case "agent":
		return daemon(false, args)
	case "component":
		return components.Run(args[0], args[1:])
	case "kubectl":
		return kubectl(args)
	case "ctr":
		return ctr(args)
	case "token":
		if len(args) == 1 && args[0] == "generate" {
			fmt.Println(token.Bootstrap())
			return 0
		}
		return refuse("token (but for `token generate`)")
	case "-v", "--version":
		fmt.Printf("k3s version %s (stand-in)\ngo version %s\n", cluster.Version, runtime.Version())
		return 0
	case "", "-h", "--help", "help":
		fmt.Printf(usage+"\n", cluster.Version)
		return 0
	case "crictl", "check-config", "etcd-snapshot", "secrets-encrypt", "certificate", "completion":
		return refuse(name)
	}
	fmt.Fprintf(os.Stderr, "k3s: no command %q\n"+usage+"\n", name, cluster.Version)
	return 1
}

func refuse(name string) int {
	fmt.Fprintf(os.Stderr, "k3s: %s is a command of k3s that this stand-in does not have (lab/k3s/README.md lists what it carries)\n", name)
	return 1
}

// daemon runs a server or an agent until a signal, which ends it with 0, or until one of its parts fails.
func daemon(isServer bool, args []string) int {
	c, err := config.Load(isServer, args, os.Getenv)
	if err != nil {
		logrus.StandardLogger().Log(logrus.FatalLevel, err)
		return 1
	}
	for _, warning := range c.Warnings {
		logrus.Warn(warning)
	}
	process.Debug = c.Bool("debug")
	signals, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	group, ctx := process.NewGroup(signals)
	go func() {
		start := agent.Run
		if isServer {
			start = server.Run
		}
		if err := start(ctx, group, c); err != nil {
			group.Fail(err)
		}
	}()
	<-ctx.Done()
	group.Stop()
	if signals.Err() != nil {
		return 0
	}
	logrus.StandardLogger().Log(logrus.FatalLevel, context.Cause(ctx))
	return 1
}

func kubectl(args []string) int {
	const admin = "/etc/rancher/k3s/k3s.yaml"
	if os.Getenv("KUBECONFIG") == "" {
		if err := os.Setenv("KUBECONFIG", admin); err != nil {
			return 1
		}
	}
	return components.Kubectl(args)
}

// ctr becomes Debian's ctr, pointed at k3s's containerd and the namespace of its pods.
func ctr(args []string) int {
	path, err := exec.LookPath("/usr/bin/ctr")
	if err == nil {
		for name, value := range map[string]string{"CONTAINERD_ADDRESS": agent.Socket, "CONTAINERD_NAMESPACE": agent.Namespace} {
			if os.Getenv(name) == "" {
				err = errors.Join(err, os.Setenv(name, value))
			}
		}
		err = errors.Join(err, syscall.Exec(path, append([]string{"ctr"}, args...), os.Environ()))
	}
	fmt.Fprintln(os.Stderr, "k3s: ctr:", err)
	return 1
}
