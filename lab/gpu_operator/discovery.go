package main

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	sysfs             = "/host-sys"
	discoveryInterval = 10 * time.Second
)

// runFeatureDiscovery stands in for the NFD worker and master: it labels its own node when the host has NVIDIA PCI devices.
func runFeatureDiscovery(ctx context.Context) error {
	return keepLabels(ctx, func(context.Context) (map[string]string, error) {
		slots, err := pciGPUs(sysfs)
		if err != nil {
			return nil, err
		}
		labels := map[string]string{pciLabel: ""}
		if len(slots) > 0 {
			labels[pciLabel] = "true"
		}
		return labels, nil
	})
}

// runGPUFeatureDiscovery labels its own node with what the host's driver says of the GPUs; without a working driver the labels go.
func runGPUFeatureDiscovery(ctx context.Context) error {
	return keepLabels(ctx, func(ctx context.Context) (map[string]string, error) {
		labels := map[string]string{"nvidia.com/gpu.count": "", "nvidia.com/gpu.product": "", "nvidia.com/gpu.memory": "", "nvidia.com/gpu.replicas": ""}
		gpus, err := hostGPUs(ctx)
		if err != nil {
			ctrl.Log.Info("no GPU can be described", "why", err.Error())
			return labels, nil
		}
		labels["nvidia.com/gpu.count"] = strconv.Itoa(len(gpus))
		labels["nvidia.com/gpu.product"] = strings.ReplaceAll(gpus[0].name, " ", "-")
		labels["nvidia.com/gpu.memory"] = gpus[0].memoryMiB
		labels["nvidia.com/gpu.replicas"] = "1"
		return labels, nil
	})
}

// keepLabels holds the labels that find returns on this node; an empty value means none. It ends with the context.
func keepLabels(ctx context.Context, find func(context.Context) (map[string]string, error)) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	c, err := client.New(config, client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		return err
	}
	name := os.Getenv("NODE_NAME")
	for {
		wanted, err := find(ctx)
		if err != nil {
			return err
		}
		var node corev1.Node
		if err := c.Get(ctx, types.NamespacedName{Name: name}, &node); err != nil {
			return client.IgnoreNotFound(err)
		}
		change := map[string]any{}
		for key, value := range wanted {
			if current, ok := node.Labels[key]; value == "" && ok {
				change[key] = nil
			} else if value != current {
				change[key] = value
			}
		}
		if err := patchLabels(ctx, c, name, change); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(discoveryInterval):
		}
	}
}
