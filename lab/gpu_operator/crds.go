package main

import (
	"context"
	_ "embed"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

//go:embed chart/crds/nvidia.com_clusterpolicies.yaml
var policyCRD []byte

// applyCRDs is the chart's pre-upgrade hook: Helm itself never updates what lies in a chart's crds folder.
func applyCRDs(ctx context.Context) error {
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(policyCRD, object); err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	c, err := client.New(config, client.Options{})
	if err != nil {
		return err
	}
	return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("gpu-operator"), client.ForceOwnership)
}
