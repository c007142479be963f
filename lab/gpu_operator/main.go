// Command gpu-operator is the lab's stand-in for NVIDIA's GPU Operator, its validator, the device plugin, GPU feature discovery and
// the node feature discovery worker: one binary, one subcommand for each container of the chart, and the tools of
// containers with a GPU under their own names. README.md says what it does not prove.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

var commands = map[string]func(context.Context) error{
	"operator":              runOperator,
	"apply-crds":            applyCRDs,
	"feature-discovery":     runFeatureDiscovery,
	"gpu-feature-discovery": runGPUFeatureDiscovery,
	"device-plugin":         runDevicePlugin,
	"validator":             runValidator,
	"sleep":                 func(ctx context.Context) error { <-ctx.Done(); return nil },
}

func main() {
	if tool := tools[filepath.Base(os.Args[0])]; tool != nil {
		if err := tool(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctrl.SetLogger(zap.New())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 2 || commands[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "usage: %s operator|apply-crds|feature-discovery|gpu-feature-discovery|device-plugin|validator|sleep\n", os.Args[0])
		os.Exit(2)
	}
	if err := commands[os.Args[1]](ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
