package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// validationAnnotation says on the validator's pod why it waits; the operator repeats it in the policy's condition.
const validationAnnotation = "nvidia.com/validation-failure"

// runValidator returns once the host's driver, its container toolkit and the device plugin are in order, and waits until they are.
func runValidator(ctx context.Context) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	c, err := client.New(config, client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		return err
	}
	said := ""
	for {
		why := ""
		if err := validate(ctx, c); err != nil {
			why = err.Error()
		}
		if why != said {
			if err := annotate(ctx, c, why); err != nil {
				return err
			}
			fmt.Println("validation:", why)
			said = why
		}
		if why == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}

func validate(ctx context.Context, c client.Client) error {
	if _, err := hostGPUs(ctx); err != nil {
		return fmt.Errorf("driver: %w", err)
	}
	for _, tool := range []string{"nvidia-container-runtime", "nvidia-ctk", "nvidia-cdi-hook"} {
		if _, err := os.Stat(hostRoot + "/usr/bin/" + tool); err != nil {
			return fmt.Errorf("toolkit: the host has no /usr/bin/%s", tool)
		}
	}
	var node corev1.Node
	if err := c.Get(ctx, types.NamespacedName{Name: os.Getenv("NODE_NAME")}, &node); err != nil {
		return err
	}
	if allocatable := node.Status.Allocatable[resourceName]; allocatable.IsZero() {
		return errors.New("plugin: the node offers no " + resourceName)
	}
	return nil
}

func annotate(ctx context.Context, c client.Client, why string) error {
	annotations := map[string]any{validationAnnotation: nil}
	if why != "" {
		annotations[validationAnnotation] = why
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: os.Getenv("POD_NAME"), Namespace: os.Getenv("NAMESPACE")}}
	return c.Patch(ctx, pod, client.RawPatch(types.MergePatchType, patch))
}
